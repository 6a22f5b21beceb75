//! What a Python program declares: functions with the decorator `@hm.pipeline`.

use tree_sitter::{Node, Tree};

use super::declared::Declared;
use super::nodes::{literal, range_of, spanned};
use crate::diagnostic::{Code, Diagnostic};
use crate::findings::Findings;

const PACKAGE: &str = "harmont";
const DECORATOR: &str = "pipeline";
const ARGUMENTS: [&str; 6] = ["slug", "name", "triggers", "allow_manual", "env", "timeout"];

/// The names under which a program knows the SDK.
#[derive(Debug, Default)]
struct Names {
    /// Of the package: `hm`.
    package: Vec<String>,
    /// Of the decorator itself.
    decorator: Vec<String>,
}

/// Returns the pipelines a program declares, in text order.
pub(super) fn declared(text: &str, tree: &Tree, findings: &mut Findings) -> Vec<Declared> {
    let names = names(text, tree.root_node());
    let mut declared = Vec::new();
    // Also those in `if` and `try`, but not in functions: whether these are called is not known.
    let mut open = vec![tree.root_node()];
    while let Some(node) = open.pop() {
        match node.kind() {
            "decorated_definition" => declared.extend(of_definition(text, node, &names, findings)),
            "module" | "if_statement" | "else_clause" | "elif_clause" | "try_statement" | "except_clause"
            | "finally_clause" | "with_statement" | "for_statement" | "block" | "ERROR" => {
                open.extend(node.children(&mut node.walk()));
            }
            _ => {}
        }
    }
    declared.sort_by_key(|one| one.range.start);
    declared
}

fn names(text: &str, root: Node<'_>) -> Names {
    let mut names = Names::default();
    let of = |node: Node<'_>| range_of(node).of(text).to_owned();
    for node in root.children(&mut root.walk()) {
        if !matches!(node.kind(), "import_statement" | "import_from_statement") {
            continue;
        }
        let module = node.child_by_field_name("module_name").map(of);
        for name in node.children_by_field_name("name", &mut node.walk()) {
            let (original, own) = match (name.child_by_field_name("name"), name.child_by_field_name("alias")) {
                (Some(original), Some(alias)) => (of(original), of(alias)),
                _ => (of(name), of(name)),
            };
            match module.as_deref() {
                None if original == PACKAGE => names.package.push(own),
                Some(PACKAGE) if original == DECORATOR => names.decorator.push(own),
                _ => {}
            }
        }
    }
    names
}

fn of_definition(text: &str, node: Node<'_>, names: &Names, findings: &mut Findings) -> Option<Declared> {
    let function = node.child_by_field_name("definition").filter(|node| node.kind() == "function_definition")?;
    let function_name = function.child_by_field_name("name")?;
    let decorators: Vec<Node<'_>> =
        node.children(&mut node.walk()).filter(|child| child.kind() == "decorator").collect();
    let decorator = *decorators.iter().find(|decorator| is_pipeline(text, **decorator, names))?;
    let expression = decorator.named_child(0)?;
    let heading = range_of(decorator).first_line(text);
    let mut slug = None;
    let mut arguments = Vec::new();
    if let Some(list) = expression.child_by_field_name("arguments") {
        for argument in list.named_children(&mut list.walk()) {
            match argument.kind() {
                "keyword_argument" => {
                    let (Some(name), Some(value)) =
                        (argument.child_by_field_name("name"), argument.child_by_field_name("value"))
                    else {
                        continue;
                    };
                    let name = spanned(text, name);
                    if name.value == "slug" {
                        slug = Some(literal(text, value));
                    }
                    arguments.push(name);
                }
                "comment" | "dictionary_splat" => {}
                _ => {
                    slug.get_or_insert_with(|| literal(text, argument));
                }
            }
        }
    } else {
        let message = "`@hm.pipeline` needs parentheses: `@hm.pipeline()`.";
        findings.push(Diagnostic::new(Code::ProgramArgument, range_of(decorator), message));
    }
    let slug = match slug {
        Some(slug) => slug?,
        None => spanned(text, function_name),
    };
    let known_arguments = &ARGUMENTS;
    Some(Declared { range: range_of(node), heading, slug, arguments, known_arguments })
}

fn is_pipeline(text: &str, decorator: Node<'_>, names: &Names) -> bool {
    let Some(expression) = decorator.named_child(0) else { return false };
    let called = expression.child_by_field_name("function").unwrap_or(expression);
    let written = range_of(called).of(text);
    match written.rsplit_once('.') {
        Some((package, DECORATOR)) => names.package.iter().any(|name| name == package.trim()),
        Some(_) => false,
        None => names.decorator.iter().any(|name| name == written),
    }
}
