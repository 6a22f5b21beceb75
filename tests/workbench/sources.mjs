// What tools print is shown on the user's own source files, at the right place, and goes when the fixed step has run again.
import assert from "node:assert/strict";

const PIPELINE = String.raw`name: tools
steps:
  - key: rust
    cmd: cd app && cargo build

  - key: c
    cmd: gcc -Wall -c lib/sum.c -o sum.o

  - key: types
    cmd: cd web && tsc --noEmit --project .

  - key: python
    cmd: pytest -q
`;

/// What fails: its step and file, the line and the word that are marked (all of the line without one), the message, and the text that is right.
const CASES = [
  {
    step: "rust",
    program: "cargo",
    path: "app/src/main.rs",
    wrong: 'fn main() {\n    let greeting = "três";\n    let total: u32 = greeting;\n    println!("{total}");\n}\n',
    right: 'fn main() { let total: u32 = 3; println!("{total}"); }',
    line: "let total",
    word: "greeting",
    message: /mismatched types.*\[Ln 3, Col 22\]/,
  },
  {
    step: "c",
    program: "gcc",
    path: "lib/sum.c",
    wrong: "int sum(int a, int b) {\n\treturn a + c;\n}\n",
    right: "int sum(int a, int b) { return a + b; }",
    line: "return",
    word: "c",
    message: /undeclared.*\[Ln 2, Col 13\]/,
  },
  {
    step: "types",
    program: "tsc",
    path: "web/src/index.ts",
    wrong: 'export function count(): number {\n  const counted: number = "three";\n  return counted;\n}\n',
    right: "export const counted: number = 3;",
    line: "const counted",
    word: "counted",
    message: /not assignable.*\[Ln 2, Col 9\]/,
  },
  {
    step: "python",
    program: "pytest",
    path: "tests/test_sum.py",
    wrong: "def test_sum():\n    numbers = [1, 2]\n    assert sum(numbers) == 4\n",
    right: "def test_sum(): assert sum([1, 2]) == 3",
    line: "assert",
    word: "assert sum(numbers) == 4",
    message: /\[Ln 3, Col 5\]/,
  },
];

export const files = {
  "pipeline.yml": PIPELINE,
  "app/Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n',
  "web/tsconfig.json": '{ "compilerOptions": { "strict": true }, "include": ["src"] }\n',
  ...Object.fromEntries(CASES.map(({ path, wrong }) => [path, wrong])),
};

/// Nothing but the runs marks files.
export const preferences = { "security.workspace.trust.enabled": false, "typescript.validate.enable": false };

export function stages({ page, person, shoot }) {
  return CASES.map(({ step, program, path, right, line, word, message }) => [
    `a failing ${program} marks the line of the source; the mark goes with the fix`,
    async () => {
      const name = path.split("/").at(-1);
      await person.openFile("pipeline.yml");
      await person.command("Problems: Focus on Problems View");
      await person.gutter(`- key: ${step}`);
      await person.status().filter({ hasText: `${step}: exit` }).waitFor();
      await person.openFile(name);
      const problem = page.locator(".markers-panel .monaco-list-row", { hasText: message }).first();
      await problem.waitFor();
      await person.squiggle().waitFor();
      const { mark, wanted } = await placeOf(line, word);
      assert.ok(Math.abs(mark.top - wanted.top) < 5, `line: ${JSON.stringify({ mark, wanted })}`);
      assert.ok(Math.abs(mark.left - wanted.left) < 3 && mark.width > 5, `column: ${JSON.stringify({ mark, wanted })}`);
      await shoot(program);
      await person.clearToasts();
      await person.rewrite(right);
      await person.command("pipelens: Rerun Failed Steps");
      await person.squiggle().waitFor({ state: "detached" });
      await problem.waitFor({ state: "detached" });
      await person.status().filter({ hasText: step }).locator(".codicon-pass").waitFor();
    },
    { programs: [program] },
  ]);

  /// Returns where the mark is, and where a word of a line is.
  function placeOf(line, word) {
    return page.evaluate(
      ([line, word]) => {
        const box = ({ top, left, width }) => ({ top, left, width });
        const squiggle = document.querySelector(".monaco-editor .squiggly-error").getBoundingClientRect();
        // The editor draws spaces as ones that do not break.
        const text = (node) => node.textContent.replaceAll("\u00a0", " ");
        const row = [...document.querySelectorAll(".view-line")].find((each) => text(each).includes(line));
        const offset = text(row).lastIndexOf(word);
        const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
        let before = 0;
        for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
          if (offset < before + node.length) {
            const range = document.createRange();
            range.setStart(node, offset - before);
            range.setEnd(node, Math.min(node.length, offset - before + word.length));
            return { mark: { ...box(squiggle), top: squiggle.top }, wanted: { ...box(range.getBoundingClientRect()), top: row.getBoundingClientRect().top } };
          }
          before += node.length;
        }
        throw new Error(`no ${word} in ${line}`);
      },
      [line, word],
    );
  }
}
