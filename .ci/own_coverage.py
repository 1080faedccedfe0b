"""How much of each module its own test files cover, from a coverage data file.

The own test file of mmagent/a/b.py is tests/a/test_b.py; test_b_more.py beside it counts too, and for b_part.py that
of b.

Usage: coverage run -m pytest ...; python .ci/own_coverage.py PACKAGE=PERCENT ...

Fails where a module of a named package is below its bound. Needs `dynamic_context = "test_function"`.
"""

import sys
from pathlib import Path

import coverage


def main() -> int:
    """Print the table; 1 if a module is below its bound."""
    bounds = {package: float(percent) for package, percent in (arg.split("=") for arg in sys.argv[1:])}
    whole = coverage.Coverage()
    whole.load()
    data = whole.get_data()
    failed = False
    for path in sorted(Path("mmagent").rglob("*.py")):
        parts = path.with_suffix("").parts[1:]
        package = parts[0] if len(parts) > 1 else ""
        if package not in bounds or path.stem == "__init__":
            continue
        folder, name = ".".join(("tests", *parts[:-1])), parts[-1]
        data.set_query_contexts([rf"^{folder}\.test_{name}(_\w+)?\.", rf"^{folder}\.test_{name.split('_')[0]}\."])
        lines = set(data.lines(str(path.resolve())) or ())
        _, statements, _, _, _ = whole.analysis2(str(path))
        # What runs at import belongs to no test, and is run by every one of them.
        data.set_query_contexts([r"^$"])
        lines |= set(data.lines(str(path.resolve())) or ())
        share = 100 * len(lines & set(statements)) / len(statements) if statements else 100.0
        low = share < bounds[package]
        failed |= low
        print(f"{share:6.1f} %  {path}{'   below ' + format(bounds[package], 'g') + ' %' if low else ''}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
