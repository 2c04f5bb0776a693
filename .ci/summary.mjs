// Adds up vitest's JSON reports: names what failed or was skipped, and ends with one line that counts.
import { readFileSync } from 'node:fs';

let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of process.argv.slice(2)) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    console.log(`no report ${file.split('/').at(-1)}: that part did not run to its end`);
    failed++;
    continue;
  }
  for (const suite of report.testResults) {
    if (suite.status === 'failed' && suite.assertionResults.length === 0) {
      console.log(`failed: ${suite.name.replace(process.cwd(), '.')}: ${suite.message}`);
      failed++;
    }
    for (const test of suite.assertionResults) {
      if (test.status === 'passed') passed++;
      else if (test.status === 'failed') failed++;
      else skipped++;
      if (test.status !== 'passed') console.log(`${test.status === 'failed' ? 'failed' : 'skipped'}: ${test.fullName}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
