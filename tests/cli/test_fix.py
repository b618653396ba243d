"""`normwise check --fix` writes what it proved, once it is whole, and says what it left."""

import json
from types import SimpleNamespace

import keras
import pytest
from keras import layers

import normwise as nw
from normwise.cli.fixes import print_fixed, with_level
from normwise.rules import BY_NAME, Finding, Report, Severity
from normwise.surgery import remove
from normwise.workflows.fixed import Fixed, Left
from tests.commands import normwise
from tests.surgery.models import shaken
from tests.zoo import conv, image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two stacked norms (outputs kept by the fix), and a norm over rows (not kept)."""
    folder = tmp_path_factory.mktemp("models")
    inputs = image(3)
    x = layers.BatchNormalization(name="one")(conv(4, use_bias=False)(inputs))
    x = layers.ReLU()(layers.BatchNormalization(name="two")(x))
    x = layers.BatchNormalization(axis=1, name="rows")(conv(4)(x))
    shaken(keras.Model(inputs, conv(1)(layers.ReLU()(x)))).save(folder / "net.keras")
    return folder / "net.keras"


def test_safe_fixes_are_made_and_what_is_left_decides_the_exit_code(model, tmp_path):
    out = tmp_path / "out.keras"
    done = normwise("check", model, "--fix", "-o", out)
    assert done.returncode == 1  # wrong-axis is an error, and its fix changes the outputs
    text = " ".join(done.stdout.split())
    assert "fixed NW106 stacked-norm one, two" in text
    assert "two: BatchNormalization removed, folded into one" in text
    assert "left error NW101 wrong-axis rows" in text and "--fix unsafe" in text
    assert "outputs kept in inference" in text and f"Written to {out}" in text
    assert {f.name for f in nw.check(out).findings} == {"wrong-axis"}
    again = normwise("check", model, "--fix", "-o", out)
    assert again.returncode == 2 and "--overwrite" in again.stderr
    told = normwise("check", model, "--fix", "-o", out, "--overwrite", "-v")
    evidence = f"- {BY_NAME['wrong-axis'].page.evidence[0]}"
    assert told.returncode == 1 and evidence in " ".join(told.stdout.split())
    assert evidence not in text


def test_a_fix_goes_by_the_loss_that_is_told(tmp_path):
    inputs = keras.Input((4,))
    x = layers.BatchNormalization(name="norm")(layers.Dense(40, name="dense")(inputs))
    keras.Model(inputs, x).save(tmp_path / "wide.keras")
    for words, fixed in (((), False), (("--loss", "dice"), True)):
        options = ("--fix", "-o", "out.keras", "--overwrite", *words)
        told = normwise("check", "wide.keras", *options, cwd=tmp_path).stdout
        assert ("fixed NW110 norm-on-output" in " ".join(told.split())) == fixed


@pytest.mark.parametrize(
    "words",
    [
        ("--fix", "unsafe", "MODEL", "-o", "OUT"),
        ("MODEL", "-o", "OUT", "--fix=unsafe"),
        ("MODEL", "--fix", "unsafe", "--out", "OUT"),
    ],
)
def test_unsafe_fixes_wherever_the_option_stands(model, tmp_path, words):
    out = tmp_path / "out.keras"
    told = [{"MODEL": model, "OUT": out}.get(word, word) for word in words]
    done = normwise("check", *told, "--format", "json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    names = ["stacked-norm", "newer-config", "wrong-axis", "redundant-bias"]
    assert [f["name"] for f in said["mended"]] == names
    assert said["promise"] == "outputs change" and said["written"] == str(out)
    assert "rows: starts anew with axis=-1" in [
        f"{c['layer']}: {c['action']}" for c in said["changed"]
    ]
    assert not nw.check(out).at_least("warning")


def test_fix_alone_never_takes_the_model_for_its_value():
    assert with_level(["--fix", "m.keras", "-o", "o"]) == ["--fix=safe", "m.keras", "-o", "o"]
    assert with_level(["m.keras", "--fix"]) == ["m.keras", "--fix=safe"]
    assert with_level(["--fix", "unsafe", "m"]) == ["--fix", "unsafe", "m"]
    assert with_level(["--fix=unsafe", "m"]) == ["--fix=unsafe", "m"]
    assert with_level(["--", "--fix"]) == ["--", "--fix"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fix",), "-o OUT.keras"),
        (("-o", "out.keras"), "without --fix"),
        (("--fix", "-o", "out.h5"), ".keras"),
        (("other.keras", "--fix", "-o", "out.keras"), "one model at a time, got 2"),
        (("--fix=all", "-o", "out.keras"), "safe"),
    ],
)
def test_impossible_words(model, tmp_path, words, said):
    done = normwise("check", model, *words, cwd=tmp_path)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_promise_that_is_not_kept_writes_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(remove, "_composed", lambda norm, path: lambda source, values: values)
    done = normwise("check", model, "--fix", "-o", tmp_path / "out.keras")
    assert done.returncode == 1 and "should stay the same" in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_nothing_to_fix_writes_nothing(model, tmp_path):
    words = ("--ignore", "stacked-norm", "--ignore", "newer-config", "--fail-on", "never")
    done = normwise("check", model, "--fix", "-o", tmp_path / "out.keras", *words)
    assert done.returncode == 0 and "nothing is written" in done.stdout
    assert not list(tmp_path.iterdir())


def test_check_says_what_fix_would_mend(model):
    text = " ".join(normwise("check", model, "--fail-on", "never").stdout.split())
    assert "Can be mended here: 2 by --fix, 1 by --fix unsafe" in text


@pytest.mark.parametrize("words", [("net.keras", "net.keras"), (".", "sub/../model.keras")])
def test_the_model_itself_is_never_replaced(model, tmp_path, words):
    (tmp_path / "sub").mkdir()
    for name in ("net.keras", "model.keras"):
        (tmp_path / name).write_bytes(model.read_bytes())
    source, out = words
    done = normwise("check", source, "--fix", "-o", out, "--overwrite", cwd=tmp_path)
    assert done.returncode == 2 and "the model itself" in " ".join(done.stderr.split())
    assert (tmp_path / out).read_bytes() == model.read_bytes()


def test_what_is_left_is_printed_for_other_programs(model, tmp_path):
    out = tmp_path / "out.keras"
    done = normwise("check", model, "--fix", "-o", out, "--format", "github")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"::error file={out},title=NW101 wrong-axis::rows")


def test_names_from_a_file_are_printed_without_what_a_terminal_obeys(capsys):
    name = "norm\x1b[31m"
    finding = Finding("NW106", "stacked-norm", Severity.WARNING, (name,), "m", "w", (), "f", True)
    change = SimpleNamespace(layer=name, action="removed")
    report = SimpleNamespace(changed=(change,), notes=(name,), max_difference=None)
    done = Fixed(None, report, (finding,), (Left(finding, name),), Report.of("m", "s", []))
    print_fixed(f"{name}.keras", done, None, as_json=False)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and printed.count("norm\\x1b[31m") == 6


def test_all_layers_are_named_if_wanted(capsys):
    names = tuple(f"norm{i}" for i in range(8))
    finding = Finding("NW106", "stacked-norm", Severity.WARNING, names, "m", "w", ("e",), "f", True)
    report = SimpleNamespace(changed=(), notes=(), max_difference=None)
    done = Fixed(None, report, (finding,), (Left(finding, "reason"),), Report.of("m", "s", []))
    print_fixed("net.keras", done, None, as_json=False)
    assert capsys.readouterr().out.count("norm5 and 2 more") == 2
    print_fixed("net.keras", done, None, as_json=False, verbose=True)
    printed = capsys.readouterr().out
    assert printed.count(", ".join(names)) == 2 and printed.count("    - e\n") == 2
