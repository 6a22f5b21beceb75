//! What the output of each tool looks like. The groups of an expression have the names of the parts of a problem.

use crate::diagnostic::Severity;
use crate::problems::problem::Unit;

/// How a row of the table is written.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) name: Option<&'static str>,
    /// Each line's expression, and that of the lines that may come before it.
    pub(super) lines: &'static [(&'static str, Option<&'static str>)],
    pub(super) is_loop: bool,
    pub(super) more: Option<&'static str>,
    pub(super) has_more_after_marks: bool,
    pub(super) wrapped: Option<&'static str>,
    pub(super) unit: Unit,
    pub(super) severity: Severity,
    pub(super) first_column: u32,
    pub(super) has_names: bool,
}

const ROW: Row = Row {
    name: None,
    lines: &[],
    is_loop: false,
    more: None,
    has_more_after_marks: false,
    wrapped: None,
    unit: Unit::Characters,
    severity: Severity::Error,
    first_column: 1,
    has_names: false,
};

/// The rows are tried in this order.
pub(super) const ROWS: &[Row] = &[
    // rustc, and tools that print as it does.
    Row {
        lines: &[
            (r"^(?P<severity>error|warning|note|help)(?:\[(?P<code>[\w:-]+)\])?: (?P<message>.+)$", None),
            (
                r"^\s*(?:-->|╭▸|┌─|:::)\s*(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)$",
                Some(r"^\s{2,}(?:[^\s|>=-].*)?$"),
            ),
        ],
        more: Some(r"^\s*(?:= (?:note|help): |(?:help|note): )(?P<message>.*)$"),
        wrapped: Some(r"^\s{6,}(?P<message>\S.*)$"),
        ..ROW
    },
    Row {
        name: Some("cargo"),
        lines: &[
            (r"^\s*thread '.*' (?:\(\d+\) )?panicked at (?P<file>[^'`]+?):(?P<line>\d+):(?P<column>\d+):$", None),
            (r"^(?P<message>.+)$", None),
        ],
        more: Some(r"^(?P<message>\s+(?:left|right): .*)$"),
        ..ROW
    },
    Row {
        name: Some("cargo"),
        lines: &[(
            r"^\s*thread '.*' panicked at '(?P<message>.*)', (?P<file>[^']+?):(?P<line>\d+):(?P<column>\d+)$",
            None,
        )],
        ..ROW
    },
    // ruff, in full.
    Row {
        name: Some("ruff"),
        lines: &[
            (r"^(?P<code>[A-Z]{1,5}\d{2,4}|invalid-syntax|[a-z]+(?:-[a-z]+)+):? (?:\[\*\] )?(?P<message>.+)$", None),
            (r"^\s*-->\s*(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)$", None),
        ],
        more: Some(r"^help: (?P<message>.*)$"),
        ..ROW
    },
    // ruff, grouped by file.
    Row {
        name: Some("ruff"),
        lines: &[
            (r"^(?P<file>[^\s:]\S*\.pyi?):$", None),
            (
                r"^\s+(?P<line>\d+):(?P<column>\d+)\s+(?P<code>[A-Z]{1,5}\d{2,4}|[a-z]+(?:-[a-z]+)+):? (?:\[\*\] )?(?P<message>.+)$",
                Some(r"^\s*$"),
            ),
        ],
        is_loop: true,
        ..ROW
    },
    // esbuild counts columns from 0.
    Row {
        name: Some("esbuild"),
        lines: &[
            (r"^\s*[✘✗▲⚠X] \[(?P<severity>ERROR|WARNING)\] (?P<message>.+?)(?: \[(?P<code>[a-z][\w-]*)\])?$", None),
            (r"^\s+(?P<file>[^\s:][^:]*):(?P<line>\d+):(?P<column>\d+):$", Some(r"^\s*$")),
        ],
        unit: Unit::Bytes,
        first_column: 0,
        ..ROW
    },
    // javac: the details come after the line with the mark.
    Row {
        lines: &[(
            r"^\s*(?P<file>(?:[A-Za-z]:[\\/])?[^:\s][^:]*\.java):(?P<line>\d+): (?P<severity>error|warning): (?:\[(?P<code_first>[\w-]+)\] )?(?P<message>.*)$",
            None,
        )],
        more: Some(r"^(?P<message>  +\S.*)$"),
        has_more_after_marks: true,
        ..ROW
    },
    // `file:line:column: error: message`: gcc, clang, swiftc, mypy, shellcheck -f gcc, cargo --message-format short.
    Row {
        lines: &[(
            r"^\s*(?P<file>(?:[A-Za-z]:[\\/])?[^:\s][^:]*):(?P<line>\d+)(?::(?P<column>\d+)(?:-\d+)?)?(?::(?P<last_line>\d+):(?P<last_column>\d+))?: (?P<severity>fatal error|internal compiler error|error|warning|note|remark|info|style)(?:\[(?P<code_before>[\w:-]+)\])?: (?:\[(?P<code_first>[\w-]+)\] )?(?P<message>.*?)(?:\s+\[(?P<code>-?[\w-]+(?:[=,.+*\w-]*))\])?$",
            None,
        )],
        ..ROW
    },
    // The linker.
    Row {
        name: Some("ld"),
        lines: &[(
            r"^(?:\S*ld(?:\.\w+)?: )?(?P<file>[^:()\s][^:()]*):(?P<line>\d+): (?P<message>(?:undefined reference to|multiple definition of|more undefined references to) .*)$",
            None,
        )],
        ..ROW
    },
    // tsc, msbuild.
    Row {
        lines: &[(
            r"^\s*(?P<file>[^\s(][^(]*?)\((?P<line>\d+),(?P<column>\d+)(?:,(?P<end_line>\d+),(?P<end_column>\d+))?\)\s*:\s*(?P<severity>error|warning|info|message)\s+(?P<code>[A-Za-z]+\d+)\s*:\s*(?P<message>.*?)(?: \[[^\]]+proj\])?$",
            None,
        )],
        more: Some(r"^(?P<message>  +\S.*)$"),
        unit: Unit::Utf16,
        ..ROW
    },
    Row {
        name: Some("tsc"),
        lines: &[(
            r"^\s*(?P<file>[^\s:]+):(?P<line>\d+):(?P<column>\d+) - (?P<severity>error|warning|message)\s+(?P<code>TS\d+):\s*(?P<message>.*)$",
            None,
        )],
        more: Some(r"^(?P<message>  +\S.*)$"),
        unit: Unit::Utf16,
        ..ROW
    },
    // eslint and stylelint: the file, then its problems.
    Row {
        name: Some("eslint"),
        lines: &[
            (r"^(?P<file>(?:[A-Za-z]:[\\/]|\.{0,2}/)?[^\s:()][^:()]*\.\w+)$", None),
            (
                r"^\s+(?P<line>\d+):(?P<column>\d+)\s+(?P<severity>error|warning|info|✖|✘|×|⚠|ℹ)\s+(?P<message>\S.*?)(?:\s\s+(?P<code>[@\w][\w@/.-]*))?$",
                Some(r"^\s*$"),
            ),
        ],
        is_loop: true,
        unit: Unit::Utf16,
        ..ROW
    },
    // The same tools with a line for each problem: `unix`, `compact` and `visualstudio`.
    Row {
        name: Some("eslint"),
        lines: &[(
            r"^(?P<file>(?:[A-Za-z]:[\\/])?[^\s:][^:]*):(?P<line>\d+):(?P<column>\d+): (?P<message>.*?) \[(?P<severity>(?i:error|warning))(?:/(?P<code>[^\]\s]+))?\]$",
            None,
        )],
        unit: Unit::Utf16,
        ..ROW
    },
    Row {
        name: Some("eslint"),
        lines: &[(
            r"^(?P<file>\S.*?): line (?P<line>\d+), col (?P<column>\d+), (?P<severity>(?i:error|warning|info)) - (?P<message>.*?)(?: \((?P<code>[@\w][\w@/.-]*)\))?$",
            None,
        )],
        unit: Unit::Utf16,
        ..ROW
    },
    Row {
        name: Some("eslint"),
        lines: &[(
            r"^(?P<file>[^\s(][^(]*)\((?P<line>\d+),(?P<column>\d+)\): (?P<severity>error|warning) (?P<code>[@\w][\w@/.-]*) : (?P<message>.*)$",
            None,
        )],
        unit: Unit::Utf16,
        ..ROW
    },
    // go build, go vet, golangci-lint.
    Row {
        name: Some("go"),
        lines: &[(
            r"^\s*(?:vet: )?(?P<file>[^\s:]+\.go):(?P<line>\d+):(?P<column>\d+): (?P<message>.+?)(?: \((?P<code>[a-z][\w-]*)\))?$",
            None,
        )],
        more: Some(r"^\t(?P<message>\S.*)$"),
        unit: Unit::Bytes,
        ..ROW
    },
    Row {
        name: Some("go"),
        lines: &[(r"^\s+(?P<file>[^\s:]+\.go):(?P<line>\d+): (?P<message>.*)$", None)],
        more: Some(r"^ {8}\s*(?P<message>\S.*)$"),
        has_names: true,
        ..ROW
    },
    Row {
        name: Some("maven"),
        lines: &[(
            r"^\[(?P<severity>ERROR|WARNING|INFO)\] (?P<file>(?:[A-Za-z]:[\\/]|/)?[^:\[\]]+?):\[(?P<line>\d+),(?P<column>\d+)\] (?:(?:error|warning): )?(?P<message>.*)$",
            None,
        )],
        more: Some(r"^(?:\[(?:ERROR|WARNING)\] )?(?P<message>  +\S.*)$"),
        ..ROW
    },
    // Maven about a POM, which it names in the line or before.
    Row {
        name: Some("maven"),
        lines: &[(
            r"^\[(?P<severity>FATAL|ERROR|WARNING)\]\s+(?P<message>(?:Non-parseable|Malformed) POM (?P<file>[^:]+): .*?)\s+@ (?:.*, )?line (?P<line>\d+), column (?P<column>\d+)(?: -> \[Help \d+\])?$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("maven"),
        lines: &[(
            r"^\[(?P<severity>FATAL|ERROR|WARNING)\]\s+(?P<message>\S.*?)\s+@ (?:[^,]+, )?(?P<file>[^,\s]+\.(?:xml|pom)), line (?P<line>\d+), column (?P<column>\d+)(?: -> \[Help \d+\])?$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("maven"),
        lines: &[
            (r"^\[ERROR\]\s+The project .*\((?P<file>[^()]+)\) has \d+ errors?$", None),
            (
                r"^\[(?P<severity>ERROR)\]\s+(?P<message>\S.*?)\s+@ (?:.+, )?line (?P<line>\d+), column (?P<column>\d+)(?: -> \[Help \d+\])?$",
                Some(r"^\[ERROR\].*$"),
            ),
        ],
        is_loop: true,
        ..ROW
    },
    // Gradle about a failed test.
    Row {
        name: Some("gradle"),
        lines: &[(
            r"^\s+(?P<message>(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Failure)\w*(?:: .*?)?) at (?P<file>[\w$-]+\.(?:java|kt|kts|groovy|scala)):(?P<line>\d+)$",
            None,
        )],
        has_names: true,
        ..ROW
    },
    Row {
        name: Some("kotlinc"),
        lines: &[(
            r"^(?P<severity>[ewi]): (?:file://)?(?P<file>(?:[A-Za-z]:[\\/])?[^:\s]+)(?::(?P<line>\d+):(?P<column>\d+):?|: \((?P<line_2>\d+), (?P<column_2>\d+)\):) (?P<message>.*)$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("rubocop"),
        lines: &[(
            r"^(?P<file>[^\s:]+):(?P<line>\d+):(?P<column>\d+): (?P<severity>[CWEFRI]): (?:\[Correctable\] )?(?P<code>[\w/]+): (?P<message>.*)$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("ruby"),
        lines: &[(
            r"^(?:ruby: )?(?P<file>[^\s:]+\.(?:rb|rake|ru|gemspec)|[^\s:]*(?:Rakefile|Gemfile)):(?P<line>\d+): (?:(?P<severity>warning): )?(?P<message>(?:syntax error|.*\((?:SyntaxError|\w+Error)\)|[a-zA-Z]).*)$",
            None,
        )],
        more: Some(r"^(?P<message>\s*(?:>\s*)?\d* ?\|.*|\s+\^.*)$"),
        ..ROW
    },
    // minitest
    Row {
        name: Some("ruby"),
        lines: &[(r"^\s*\S.*\[(?P<file>[^\[\]:]+\.rb):(?P<line>\d+)\]:$", None), (r"^(?P<message>.+)$", None)],
        more: Some(r"^(?P<message>\s*(?:Actual|Expected).*)$"),
        ..ROW
    },
    // A function of the program was called with a value of another type: the call is the outer place.
    Row {
        name: Some("php"),
        lines: &[(
            r"^(?:PHP )?(?P<severity>Fatal error|Recoverable fatal error): +(?P<message>.+?), called in (?P<caller>\S.*?) on line (?P<caller_line>\d+) and defined in (?P<file>\S.*?)(?: on line |:)(?P<line>\d+)$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("php"),
        lines: &[(
            r"^(?:PHP )?(?P<severity>Parse error|Fatal error|Recoverable fatal error|Warning|Notice|Deprecated|Strict Standards): +(?P<message>.+?) in (?P<file>\S.*?)(?: on line |:)(?P<line>\d+)$",
            None,
        )],
        ..ROW
    },
    // A message of several lines has its place at the end.
    Row {
        name: Some("php"),
        lines: &[
            (r"^(?:PHP )?(?P<severity>Fatal error): +(?P<message>Uncaught .*[^\d\s])$", None),
            (r"^  thrown in (?P<file>\S.*) on line (?P<line>\d+)$", Some(r"^.*$")),
        ],
        ..ROW
    },
    // A Swift program that stops itself: it prints its module and the name of the file.
    Row {
        name: Some("swift"),
        lines: &[(
            r"^(?:.*: )?(?P<message>(?:Fatal error|Assertion failed|Precondition failed)(?:: .*?)?): file (?P<file>[^,]+\.swift), line (?P<line>\d+)$",
            None,
        )],
        has_names: true,
        ..ROW
    },
    Row {
        name: Some("swift"),
        lines: &[(
            r"^(?P<file>[^\s:][^:]*\.swift):(?P<line>\d+): (?P<message>(?:Fatal error|Assertion failed|Precondition failed)(?:: .*)?)$",
            None,
        )],
        has_names: true,
        ..ROW
    },
    // PHPUnit about what a test has triggered.
    Row {
        name: Some("php"),
        lines: &[(r"^\d+\) (?P<file>/\S+\.php):(?P<line>\d+)$", None), (r"^(?P<message>.+)$", None)],
        severity: Severity::Warning,
        ..ROW
    },
    // shellcheck for people: the place of a mark is its column.
    Row {
        name: Some("shellcheck"),
        lines: &[
            (r"^In (?P<file>.+) line (?P<line>\d+):$", None),
            (
                r"^\s*(?P<marks>\^(?:-*\^)?(?:--)?) (?P<code>SC\d+) \((?P<severity>\w+)\): (?P<message>.*)$",
                Some(r"^.*$"),
            ),
        ],
        is_loop: true,
        ..ROW
    },
    Row {
        name: Some("hadolint"),
        lines: &[(
            r"^(?P<file>[^\s:]+):(?P<line>\d+) (?P<code>(?:DL|SC)\d+) (?P<severity>\w+): (?P<message>.*)$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("yamllint"),
        lines: &[(
            r"^(?P<file>[^\s:]+):(?P<line>\d+):(?P<column>\d+): \[(?P<severity>\w+)\] (?P<message>.*?)(?: \((?P<code>[\w-]+)\))?$",
            None,
        )],
        ..ROW
    },
    Row { name: Some("make"), lines: &[(r"^(?P<file>[^\s:]+):(?P<line>\d+): \*\*\* (?P<message>.*)$", None)], ..ROW },
    Row {
        name: Some("cmake"),
        lines: &[
            (r"^CMake (?P<severity>Error|Warning)(?: \(dev\))? at (?P<file>[^:]+):(?P<line>\d+)(?: \(\w+\))?:$", None),
            (r"^\s+(?P<message>\S.*)$", Some(r"^\s*$")),
        ],
        more: Some(r"^\s+(?P<message>\S.*)$"),
        ..ROW
    },
    // A shell about a script.
    Row {
        name: Some("sh"),
        lines: &[(
            r"^(?P<file>[^\s:]+): (?:line )?(?P<line>\d+): (?P<message>.*(?:not found|[Ss]yntax error.*|[Pp]ermission denied|unbound variable|parameter not set|[Bb]ad substitution|No such file or directory|unexpected .*)|.*: line \d+.*)$",
            None,
        )],
        ..ROW
    },
    Row {
        name: Some("perl"),
        lines: &[(r"^(?P<message>.+?) at (?P<file>[^\s:]+\.(?:pl|pm|t|cgi)) line (?P<line>\d+)[.,].*$", None)],
        ..ROW
    },
    // `file:line:column: code message`: ruff, flake8, pylint and many others. The last row.
    Row {
        lines: &[(
            r#"(?:^|[\s(\["'])(?P<file>(?:[A-Za-z]:[\\/])?[^\s:()\[\]"'<>|]*[A-Za-z_][^\s:()\[\]"'<>|]*):(?P<line>\d+):(?P<column>\d+)(?::\s*|\s+-\s+|\s+)(?:(?P<code>[A-Z]+\d+|invalid-syntax):?\s+)?(?:\[\*\] )?(?:(?i)(?P<severity>error|warning|warn|info|note|hint)(?:[:\s]|\s-)\s*)?(?P<message>\S.*)$"#,
            None,
        )],
        ..ROW
    },
];
