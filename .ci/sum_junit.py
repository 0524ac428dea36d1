"""Add up pytest's JUnit reports: `sum_junit.py a.xml b.xml` prints "N passed, N failed" and exits 1 if any failed."""

import sys
import xml.etree.ElementTree as ElementTree

passed = failed = skipped = 0
for path in sys.argv[1:]:
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        broken = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        left_out = int(suite.get("skipped", 0))
        failed += broken
        skipped += left_out
        passed += int(suite.get("tests", 0)) - broken - left_out
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed or not passed else 0)
