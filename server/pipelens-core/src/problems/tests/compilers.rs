//! Compilers, linkers and build tools.

use expect_test::expect;

use super::{check, check_lines};

#[test]
fn sample_cargo_short() {
    check(
        &["cargo-short.txt"],
        &expect![[r#"
        src/main.rs:6:20 Error cargo E0425: cannot find value `missing` in this scope: not found in this scope
        src/main.rs:1:5 Warning cargo -: unused import: `std::fmt`
        src/main.rs:5:23 Error cargo E0308: mismatched types: expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_cargo() {
    check(
        &["cargo.txt", "rustc.txt", "cargo-colour.txt"],
        &expect![[r#"
        src/main.rs:6:20-:27 Error cargo E0425: cannot find value `missing` in this scope
            not found in this scope
        src/main.rs:1:5-:13 Warning cargo unused_imports: unused import: `std::fmt`
            `#[warn(unused_imports)]` (part of `#[warn(unused)]`) on by default
        src/main.rs:5:23-:30 Error cargo E0308: mismatched types
            expected `u32`, found `&str`
    "#]],
    );
}

#[test]
fn sample_clang() {
    check(
        &["clang.txt"],
        &expect![[r#"
        src/util.h:2:5 Error cc -: conflicting types for 'helper'
          src/util.h:1:5: previous declaration is here
        src/main.c:5:13 Error cc -: use of undeclared identifier 'two'
        src/main.c:10:20 Warning cc -Wformat: format specifies type 'char *' but the argument has type 'int'
        src/main.c:10:22 Error cc -: expected ';' after expression
    "#]],
    );
}

#[test]
fn sample_gcc() {
    check(
        &["gcc.txt", "gcc-colour.txt"],
        &expect![[r#"
        src/util.h:2:5-:11 Error cc -: conflicting types for ‘helper’; have ‘int(char *)’
          src/util.h:1:5: previous declaration of ‘helper’ with type ‘int(int)’
        src/main.c:5:20-:23 Error cc -: ‘two’ undeclared (first use in this function)
          src/main.c:5:20: each undeclared identifier is reported only once for each function it appears in
        src/main.c:10:14 Warning cc -Wformat=: format ‘%s’ expects argument of type ‘char *’, but argument 2 has type ‘int’
        src/main.c:10:22 Error cc -: expected ‘;’ before ‘return’
        src/main.c:9:9-:15 Warning cc -Wunused-variable: unused variable ‘unused’
        src/main.c:6:1 Warning cc -Wreturn-type: control reaches end of non-void function
    "#]],
    );
}

#[test]
fn sample_go_build() {
    check(
        &["go-build.txt"],
        &expect![[r#"
            (example.com/broken) ./main.go:5:2 Error go -: imported and not used: "os"
            (example.com/broken) ./main.go:9:14 Error go -: cannot use "seven" (untyped string constant) as int value in variable declaration
            (example.com/broken) ./main.go:10:14 Error go -: undefined: missing
        "#]],
    );
}

#[test]
fn sample_javac_lint() {
    check(
        &["javac-lint.txt"],
        &expect![[r#"
        src/main/java/Other.java:4:5 Warning javac rawtypes: found raw type: List
              missing type arguments for generic class List<E>
              where E is a type-variable:
                E extends Object declared in interface List
        src/main/java/Other.java:4:20 Warning javac rawtypes: found raw type: ArrayList
              missing type arguments for generic class ArrayList<E>
              where E is a type-variable:
                E extends Object declared in class ArrayList
        src/main/java/Other.java:5:23 Warning javac unchecked: unchecked call to add(E) as a member of the raw type List
              where E is a type-variable:
                E extends Object declared in interface List
        src/main/java/Other.java:5:36 Error javac -: incompatible types: String cannot be converted to int
        src/main/java/Other.java:5:45 Error javac -: cannot find symbol
              symbol:   method missing()
              location: class Other
    "#]],
    );
}

#[test]
fn sample_javac() {
    check(
        &["javac.txt"],
        &expect![[r#"
        src/main/java/App.java:4:36 Error javac -: ';' expected
    "#]],
    );
}

#[test]
fn sample_ld() {
    check(
        &["ld.txt"],
        &expect![[r#"
        /workspace/c/src/link.c:1 Error ld -: undefined reference to `twice'
    "#]],
    );
}

#[test]
fn sample_make_error() {
    check(
        &["make-error.txt"],
        &expect![[r#"
        bad.mk:2 Error make -: missing separator.  Stop.
    "#]],
    );
}

#[test]
fn sample_make() {
    check(
        &["make.txt"],
        &expect![[r#"
        util.h:2:5-:11 Error cc -: conflicting types for ‘helper’; have ‘int(char *)’
          util.h:1:5: previous declaration of ‘helper’ with type ‘int(int)’
        main.c:5:20-:23 Error cc -: ‘two’ undeclared (first use in this function)
          main.c:5:20: each undeclared identifier is reported only once for each function it appears in
        main.c:10:14 Warning cc -Wformat=: format ‘%s’ expects argument of type ‘char *’, but argument 2 has type ‘int’
        main.c:10:22 Error cc -: expected ‘;’ before ‘return’
        main.c:9:9-:15 Warning cc -Wunused-variable: unused variable ‘unused’
        main.c:6:1 Warning cc -Wreturn-type: control reaches end of non-void function
    "#]],
    );
}

#[test]
fn sample_tsc_pretty() {
    check(
        &["tsc-pretty.txt"],
        &expect![[r#"
            src/app.ts:3:25 Error tsc TS2322: Type 'string' is not assignable to type 'number'.
            src/app.ts:5:12 Error tsc TS2339: Property 'z' does not exist on type 'Point'.
            src/app.ts:7:7-:14 Error tsc TS2322: Type '(p: { x: number; y: string; }) => number' is not assignable to type '(p: Point) => string'.
                  Types of parameters 'p' and 'p' are incompatible.
                    Type 'Point' is not assignable to type '{ x: number; y: string; }'.
                      Types of property 'y' are incompatible.
                        Type 'number' is not assignable to type 'string'.
        "#]],
    );
}

#[test]
fn sample_tsc() {
    check(
        &["tsc.txt"],
        &expect![[r#"
        src/app.ts:3:25 Error tsc TS2322: Type 'string' is not assignable to type 'number'.
        src/app.ts:5:12 Error tsc TS2339: Property 'z' does not exist on type 'Point'.
        src/app.ts:7:7 Error tsc TS2322: Type '(p: { x: number; y: string; }) => number' is not assignable to type '(p: Point) => string'.
              Types of parameters 'p' and 'p' are incompatible.
                Type 'Point' is not assignable to type '{ x: number; y: string; }'.
                  Types of property 'y' are incompatible.
                    Type 'number' is not assignable to type 'string'.
    "#]],
    );
}

#[test]
fn sample_handmade() {
    check(
        &["handmade.txt"],
        &expect![[r#"
        Sources/App/main.swift:4:17-:24 Error swiftc -: cannot convert value of type 'String' to specified type 'Int'
        Sources/App/main.swift:5:7 Warning swiftc -: initialization of immutable value 'unused' was never used
        /workspace/src/main/java/App.java:4:28 Error maven -: cannot find symbol
              symbol:   variable missing
              location: class App
        /workspace/src/Main.kt:3:15 Error kotlinc -: Unresolved reference: missing
        Program.cs:5:13 Error dotnet CS0103: The name 'missing' does not exist in the current context
        src/app.js:3:9 Error ? -: no-undef - 'missing' is not defined.
        Dockerfile:3 Warning hadolint DL3008: Pin versions in apt get install
        a.yml:3:1 Error yamllint indentation: too many spaces
        app/models/user.rb:3:5 Information rubocop Style/StringLiterals: Prefer double-quoted strings
        CMakeLists.txt:3 Error cmake -: Cannot find source file:
        main.tf.py:1 Error ruff C0114: Missing module docstring (missing-module-docstring)
        src/sum.test.ts:5:18 Error node -: AssertionError: expected 6 to be 4 // Object.is equality
    "#]],
    );
}

#[test]
fn details_of_javac_and_maven_are_kept_however_far_they_are_indented() {
    check_lines(
        "App.java:6: error: no suitable method found for valueOf(Object)\n        Integer.valueOf(o);\n               ^\n    \
            method Integer.valueOf(String,int) is not applicable\n      \
            (actual and formal argument lists differ in length)\n1 error\n\
            [ERROR] /workspace/App.java:[4,28] incompatible types: bad return type in lambda expression\n    \
            String cannot be converted to Integer\n\
            [ERROR] /workspace/App.java:[5,3] incompatible bounds\n[ERROR]     equality constraints: String\n",
        &expect![[r#"
            App.java:6:16 Error javac -: no suitable method found for valueOf(Object)
                    method Integer.valueOf(String,int) is not applicable
                      (actual and formal argument lists differ in length)
            /workspace/App.java:4:28 Error maven -: incompatible types: bad return type in lambda expression
                    String cannot be converted to Integer
            /workspace/App.java:5:3 Error maven -: incompatible bounds
                    equality constraints: String
        "#]],
    );
}

#[test]
fn quoted_code_is_no_part_of_a_message() {
    check_lines(
        "a.c:3:10: error: use of undeclared identifier 'two'\n  return two;\n         ^\n",
        &expect![[r#"
            a.c:3:10 Error cc -: use of undeclared identifier 'two'
        "#]],
    );
}

#[test]
fn a_malformed_pom_is_found() {
    check_lines(
        "[ERROR] [ERROR] Some problems were encountered while processing the POMs:\n\
            [FATAL] Non-parseable POM /workspace/pom.xml: unexpected markup (position: START_TAG seen <a>... @7:8)  @ line 7, column 8\n \
            @ \n\
            [WARNING] 'build.plugins.plugin.version' for a:b is missing. @ com.example:app:1, /workspace/pom.xml, line 9, column 15\n\
            [ERROR] The build could not read 1 project -> [Help 1]\n[ERROR]   \n\
            [ERROR]   The project com.example:app:1 (/workspace/pom.xml) has 2 errors\n\
            [ERROR]     Non-parseable POM /workspace/pom.xml: unexpected markup (position: START_TAG seen <a>... @7:8)  @ line 7, column 8 -> [Help 2]\n\
            [ERROR]     'dependencies.dependency.version' for x:y:jar is missing. @ line 15, column 17\n",
        &expect![[r#"
            /workspace/pom.xml:7:8 Error maven -: Non-parseable POM /workspace/pom.xml: unexpected markup (position: START_TAG seen <a>... @7:8)
            /workspace/pom.xml:9:15 Warning maven -: 'build.plugins.plugin.version' for a:b is missing.
            /workspace/pom.xml:15:17 Error maven -: 'dependencies.dependency.version' for x:y:jar is missing.
        "#]],
    );
}

#[test]
fn a_message_of_rustc_without_a_place_ends_the_one_before() {
    check_lines(
        "warning: unused variable: `x`\n --> src/main.rs:2:9\n  |\n2 |     let x = 1;\n  |         ^ help: if this is intentional, prefix it with an underscore: `_x`\n  |\n  \
            = note: `#[warn(unused_variables)]` on by default\n\n\
            error: linking with `cc` failed: exit status: 1\n  |\n  = note:  \"cc\" \"-m64\" \"main.o\"\n  \
            = note: /usr/bin/ld: cannot find -lnothere\n          collect2: error: ld returned 1 exit status\n",
        &expect![[r#"
            src/main.rs:2:9 Warning cargo unused_variables: unused variable: `x`
                help: if this is intentional, prefix it with an underscore: `_x`
                `#[warn(unused_variables)]` on by default
        "#]],
    );
}

#[test]
fn messages_and_notes_of_rustc_may_have_several_lines() {
    check_lines(
        "error: first line\n       second line\n       \n       last line\n --> src/main.rs:2:5\n  |\n2 |     fail!();\n  |     ^^^^^^^\n\n\
            error[E0308]: mismatched types\n --> src/main.rs:5:18\n  |\n5 |     let x: &str = &1u32;\n  |                   ^^^^^ expected `&str`, found `&u32`\n  |\n  \
            = note: expected reference `&str`\n             found reference `&u32`\n",
        &expect![[r#"
            src/main.rs:2:5-:12 Error cargo -: first line
                second line
                last line
            src/main.rs:5:18-:23 Error cargo E0308: mismatched types
                expected `&str`, found `&u32`
                expected reference `&str`
                found reference `&u32`
        "#]],
    );
}

#[test]
fn esbuild_counts_columns_from_zero() {
    check_lines(
        "✘ [ERROR] Could not resolve \"nothere\"\n\n    src/app.js:1:7:\n      1 │ import \"nothere\"\n        ╵        ~~~~~~~~~\n\n\
            ▲ [WARNING] Comparison with -0 using the \"===\" operator [equals-negative-zero]\n\n    src/a.js:2:0:\n",
        &expect![[r#"
            src/app.js:1:8 Error esbuild -: Could not resolve "nothere"
            src/a.js:2:1 Warning esbuild equals-negative-zero: Comparison with -0 using the "===" operator
        "#]],
    );
}
