//! The files of the repository, and Rust text with its comments and literals blanked out.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold what programs made, not what people wrote.
const GENERATED: [&str; 6] = [".git", "target", "corpus", "artifacts", "coverage", "node_modules"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests lie in a folder of the repository").to_path_buf()
}

/// All files below `folder` (relative to the root), as paths relative to the
/// root, sorted.
pub(crate) fn files_below(folder: &str) -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.expect("the folder can be listed");
            let kind = entry.file_type().expect("the entry has a type");
            let name = entry.file_name();
            if kind.is_dir() && !GENERATED.iter().any(|generated| name == *generated) {
                folders.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                found.push(path.strip_prefix(&root).expect("it is below the root").to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// Whether the path ends in this extension.
pub(crate) fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

/// The text of a file given relative to the root.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("can't read {}: {error}", path.display()))
}

/// Rust text in which everything inside comments, strings and characters is
/// replaced by blanks. Lines stay where they are.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = literal_length(&text[at..], at.checked_sub(1).map(|before| bytes[before]));
        match length {
            Some(length) => {
                let literal = &text[at..at + length];
                code.extend(literal.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
                at += length;
            }
            None => {
                let character = text[at..].chars().next().expect("at is within the text");
                code.push(character);
                at += character.len_utf8();
            }
        }
    }
    code
}

/// How long the comment, string or character at the start of `rest` is.
fn literal_length(rest: &str, before: Option<u8>) -> Option<usize> {
    let within_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if rest.starts_with('"') {
        return Some(string_length(rest));
    }
    if rest.starts_with('r') && !within_word {
        return raw_string_length(rest);
    }
    if let Some(escape) = rest.strip_prefix("'\\") {
        return escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 3);
    }
    let inner = rest.strip_prefix('\'')?.chars().next()?;
    let end = 1 + inner.len_utf8();
    rest[end..].starts_with('\'').then_some(end + 1)
}

fn block_comment_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
    if rest.as_bytes().get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 2;
    Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// `code` (see [`code_only`]) up to the test module at its end, if it has one.
pub(crate) fn without_test_module(code: &str) -> &str {
    let start = code.match_indices("#[cfg(test)]").find_map(|(at, attribute)| {
        let after = code[at + attribute.len()..].trim_start();
        after.starts_with("mod tests {").then_some(at)
    });
    start.map_or(code, |start| &code[..start])
}

/// Whether the file holds tests only.
pub(crate) fn is_test_file(path: &Path) -> bool {
    path.starts_with("tests")
        || path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs" || name == "loom.rs")
}

/// Whether `word` occurs in `code` as a whole word.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part)
    })
}

#[test]
fn comments_and_literals_are_blanked() {
    let cases = [
        ("let a = 1; // unsafe", "let a = 1;          "),
        ("/* a /* b */ c */ x", "                  x"),
        (r#"f("un\"safe") + 1"#, "f(          ) + 1"),
        (r###"f(r#"a"b"#) + 1"###, "f(        ) + 1"),
        ("'a' + '\\'' + '\\u{1f}'", "    +      +         "),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("\"a\nb\"", "  \n  "),
        ("for r in x {}", "for r in x {}"),
    ];
    for (text, expected) in cases {
        assert_eq!(code_only(text).trim_end(), expected.trim_end(), "{text}");
    }
}

#[test]
fn words_are_whole_words() {
    assert!(has_word("unsafe {", "unsafe"));
    assert!(!has_word("deny(unsafe_code)", "unsafe"));
    assert!(!has_word("not_unsafe", "unsafe"));
}

#[test]
fn a_test_module_ends_the_counted_part() {
    let code = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(without_test_module(code), "fn a() {}\n\n");
    let elsewhere = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
    assert_eq!(without_test_module(elsewhere), elsewhere);
}
