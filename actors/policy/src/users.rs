//! The numbers of the users whom rules name.
//!
//! Looked up in passwd(5) alone: asking a directory service may take minutes, and
//! a policy can't wait for the network that it is about. Users of a directory are
//! named by their number.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use seawall_messages::rule::{Rule, UserMatch};

const ACCOUNTS: &str = "/etc/passwd";

/// More of the file is not read.
const MAX_ACCOUNTS_BYTES: u64 = 4 * 1024 * 1024;

/// The users whom these rules name, as far as this machine knows them.
pub fn named_by<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeMap<Arc<str>, u32> {
    let names: Vec<&Arc<str>> = rules.filter_map(name).collect();
    if names.is_empty() {
        return BTreeMap::new();
    }
    let mut text = Vec::new();
    let read = std::fs::File::open(ACCOUNTS)
        .and_then(|file| file.take(MAX_ACCOUNTS_BYTES).read_to_end(&mut text));
    if let Err(error) = read {
        tracing::warn!(%error, file = ACCOUNTS, "Users could not be looked up");
    }
    let accounts = accounts(&text);
    let known = |name: &Arc<str>| Some((Arc::clone(name), *accounts.get(name.as_bytes())?));
    names.into_iter().filter_map(known).collect()
}

fn name(rule: &Rule) -> Option<&Arc<str>> {
    match &rule.only.as_ref()?.user {
        Some(UserMatch { name, .. }) => name.as_ref(),
        None => None,
    }
}

/// Numbers by name; of a name that is there twice, the first counts (getpwnam(3)).
fn accounts(text: &[u8]) -> BTreeMap<&[u8], u32> {
    let account = |line: &'_ [u8]| -> Option<u32> {
        let number = line.split(|byte| *byte == b':').nth(2)?;
        std::str::from_utf8(number).ok()?.parse().ok()
    };
    let mut accounts = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        if let (Some(name), Some(number)) = (line.split(|byte| *byte == b':').next(), account(line))
        {
            accounts.entry(name).or_insert(number);
        }
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::parse;

    #[test]
    fn accounts_are_read_and_what_is_none_is_skipped() {
        let text = b"root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/:\nalice:x:7:7::/:\nx:x:-1:0\n\xff:x:5:5\n";
        let accounts = accounts(text);
        let expected: [(&[u8], u32); 3] = [(b"alice", 1000), (b"root", 0), (b"\xff", 5)];
        assert_eq!(accounts.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_those_are_looked_up_who_are_named() {
        let rules = ["- * user=root", "- * user=7", "- *", "- * user=no-such-user"];
        let rules: Vec<_> = rules.iter().map(|line| parse(line).expect(line)).collect();
        let named = named_by(rules.iter());
        assert_eq!(named.into_iter().collect::<Vec<_>>(), [(Arc::from("root"), 0)]);
    }
}
