document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[column].dataset.sorts;
    const order = (a, b) => {
      const [one, other] = [key(a), key(b)];
      if (one === "" || other === "") return (one === "") - (other === "");
      const [x, y] = [Number(one), Number(other)];
      const found = isNaN(x) || isNaN(y) ? one.localeCompare(other) : x - y;
      return down ? -found : found;
    };
    [...body.rows].sort(order).forEach(row => body.append(row));
  }));
});
