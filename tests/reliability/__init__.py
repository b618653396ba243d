"""The reliability campaign: no wrong output is ever left under its final name.

`make reliability` runs all of it (benchmarks/reliability.py), the tests here a small part. Input
files are broken at random (`corruptions`), a disk gets full (`full_disk`), processes are killed
(`kills`); what comes of it is judged by readers of other libraries (`independent`).
"""
