//! systemd's names in control groups (systemd.unit(5), "String escaping").

/// The unit that a control group belongs to: the outermost service or scope,
/// because what lies below one may be named by whoever runs in it. Of a user's
/// service manager, the unit that it manages.
pub(super) fn unit_of(cgroup: &str) -> Option<String> {
    let mut manager = None;
    for part in cgroup.split('/') {
        if !part.ends_with(".service") && !part.ends_with(".scope") {
            continue;
        }
        if user_of(part).is_none() {
            return Some(part.to_owned());
        }
        manager = Some(part.to_owned());
    }
    manager
}

/// The user whose slice or service manager this part of a control group is.
pub(super) fn user_of(part: &str) -> Option<u32> {
    let slice = part.strip_prefix("user-").and_then(|rest| rest.strip_suffix(".slice"));
    let manager = part.strip_prefix("user@").and_then(|rest| rest.strip_suffix(".service"));
    slice.or(manager)?.parse().ok()
}

/// Undoes `\x2d`.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x") {
        let (before, escape) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let digits =
            escape.get(2..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = escape.get(4..).unwrap_or_default();
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = escape.get(2..).unwrap_or_default();
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
