//! Paths without the versions that an update changes.
//!
//! Only what clearly is a version or a digest is replaced, and only in the
//! names of folders: `python3.11` in a folder of programs is another program
//! than `python3.12`.

/// Where numbers alone are versions: `java-17-openjdk`.
const NUMBERED: &str = "/usr/lib/jvm/";

/// The path with `*` for each version and digest: `/opt/app-*/bin/app`.
pub fn without_version(path: &str) -> String {
    let last = path.matches('/').count();
    let numbers_count = path.starts_with(NUMBERED);
    let mut is_home = false;
    let parts = path.split('/').enumerate().map(|(index, part)| {
        // The part before the first slash is empty. The name of a user is none of a version.
        if index == 1 {
            is_home = part == "home";
        }
        if index < 2 || (is_home && index == 2) {
            part.to_owned()
        } else if index == last {
            if is_version(part) || is_digest(part) { "*".to_owned() } else { part.to_owned() }
        } else {
            folder(part, numbers_count)
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The same for the name of a file that is downloaded under a new one with each version.
pub(super) fn file_without_version(name: &str) -> String {
    match name.rsplit_once('.') {
        // What ends the name is its kind, not a part of the version.
        Some((stem, kind)) if kind.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            format!("{}.{kind}", folder(stem, false))
        }
        _ => folder(name, false),
    }
}

fn folder(name: &str, numbers_count: bool) -> String {
    let separators: [char; 2] = ['-', '_'];
    let replace = |token: &str| {
        let is_number = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
        is_version(token) || is_digest(token) || (numbers_count && is_number)
    };
    let mut replaced = String::with_capacity(name.len());
    for piece in name.split_inclusive(separators) {
        let token = piece.trim_end_matches(separators);
        if replace(token) {
            replaced.push('*');
            replaced.push_str(piece.get(token.len()..).unwrap_or_default());
        } else {
            replaced.push_str(piece);
        }
    }
    replaced
}

/// `1.2`, `v18.17.0`, `17.0.2+8`, `2.0rc1`: two parts at least, each of which begins with a digit.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts = text.split('.');
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else { return false };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let begins_with_digit = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    is_number(first)
        && begins_with_digit(second)
        && parts.all(begins_with_digit)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b))
}

/// Of MD5, SHA-1, SHA-256.
fn is_digest(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 64)
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
