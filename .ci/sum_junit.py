"""Add up pytest's JUnit reports: `sum_junit.py a.xml b.xml` prints "N passed, N failed".

It exits with 1 if any failed, or if one was skipped in one run (for want of a tool) and has not passed in another.
"""

import sys
import xml.etree.ElementTree as ElementTree

failed = 0
passed: set[str] = set()
skipped: set[str] = set()
for path in sys.argv[1:]:
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        for case in suite.iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            left_out = case.find("skipped")
            if left_out is not None and left_out.get("type") != "pytest.xfail":
                skipped.add(name)
            elif left_out is None and case.find("failure") is None and case.find("error") is None:
                passed.add(name)
never = sorted(skipped - passed)
print(f"{len(passed)} passed, {failed} failed" + (f", {len(never)} never ran" if never else ""))
for name in never[:20]:
    print(f"never ran: {name}", file=sys.stderr)
sys.exit(1 if failed or never or not passed else 0)
