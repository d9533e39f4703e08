//! `[[app]]`: whom a section is about, and what is permitted to them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use seawall_messages::policy::{AppFilter, AppPolicy, Fingerprint, Pattern};
use toml::de::{DeTable, DeValue};

use super::problem::Collector;
use super::section::{DEFAULT_ACTIONS, Section};
use super::{describe, layer};

/// Most `[[app]]` sections.
pub const MAX_APPS: usize = 1_000;

/// Longest text in `match`, in bytes. Longer command lines are found by a part of them.
const MAX_PATTERN_BYTES: usize = 1_024;

/// Most stars in one text in `match`: each costs a search.
const MAX_STARS: usize = 16;

/// Longest name, in bytes. It is part of every reason.
const MAX_NAME_BYTES: usize = 200;

/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// What `match` has to say.
const KEYS: &str =
    "at least one of path, command_line, parent, tag, cgroup, sha256: whom the section is about";

/// What a text in `match` has to look like to fit anything at all.
#[derive(Clone, Copy)]
enum Form {
    /// Any text.
    Words,
    /// A file of the host, or of a container.
    Path,
    /// A path below the root of a hierarchy.
    Cgroup,
}

/// All `[[app]]` sections. Those that are wrong are noted and left out.
pub(super) fn apps(
    root: &DeTable<'_>,
    collector: &mut Collector<'_>,
    most: usize,
) -> Vec<AppPolicy> {
    const EXPECTED: &str = "a list of sections, each headed [[app]]";
    let Some(value) = root.get("app") else { return Vec::new() };
    let at = value.span().start;
    let DeValue::Array(items) = value.get_ref() else {
        let found = match value.get_ref() {
            DeValue::Table(_) => "a single section [app]".to_owned(),
            other => describe(other),
        };
        collector.note(at, "app", found, EXPECTED);
        return Vec::new();
    };
    if items.len() > most {
        let found = format!("{} sections", items.len());
        collector.note(at, "app", found, format!("at most {most}"));
        return Vec::new();
    }
    let mut apps = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let name = format!("app[{}]", index + 1);
        let at = item.span().start;
        match item.get_ref() {
            DeValue::Table(table) => {
                apps.extend(app(&mut Section::new(name, at, Some(table), collector)));
            }
            other => collector.note(at, &name, describe(other), "a section: [[app]]"),
        }
    }
    apps
}

fn app(section: &mut Section<'_, '_, '_>) -> Option<AppPolicy> {
    let name = section.parsed("name", &name_expected(), name);
    let fingerprint = fingerprint(section);
    let filter = layer(section);
    let filter = AppFilter { use_parent: section.boolean("use_parent"), ..filter };
    section.foreign("permanent_verdicts", "it in [filter]: it is one for all apps");
    for key in ["ask_timeout", "built_in_profiles", "built_in_profiles_off"] {
        section.foreign(key, "it in [filter]: it is one for all apps");
    }
    section.close();
    let fingerprint = fingerprint?;
    let name = name.unwrap_or_else(|| Arc::from(fingerprint.to_string()));
    Some(AppPolicy { name, fingerprint, filter })
}

/// The keys of `[filter]` that say yes or no, as far as they are there.
pub(super) fn switches(section: &mut Section<'_, '_, '_>) -> AppFilter {
    let mut filter = AppFilter {
        default_action: section.choice("default_action", &DEFAULT_ACTIONS),
        ..AppFilter::default()
    };
    for (key, value) in [
        ("block_inbound", &mut filter.block_inbound),
        ("block_lan", &mut filter.block_lan),
        ("block_internet", &mut filter.block_internet),
        ("block_local", &mut filter.block_local),
    ] {
        *value = section.boolean(key);
    }
    filter
}

/// `match`. `None` where it says nothing, or something that is wrong.
fn fingerprint(section: &mut Section<'_, '_, '_>) -> Option<Fingerprint> {
    let mut keys = section.required("match", KEYS)?;
    if keys.is_empty() {
        keys.note_whole("an empty table", KEYS);
        return None;
    }
    let found = Fingerprint {
        path: pattern(&mut keys, "path", Form::Path),
        command_line: pattern(&mut keys, "command_line", Form::Words),
        parent: pattern(&mut keys, "parent", Form::Path),
        tag: pattern(&mut keys, "tag", Form::Words),
        cgroup: pattern(&mut keys, "cgroup", Form::Cgroup),
        sha256: keys.parsed("sha256", "64 hexadecimal digits", sha256),
    };
    keys.close();
    (!found.is_empty()).then_some(found)
}

fn pattern(keys: &mut Section<'_, '_, '_>, key: &'static str, form: Form) -> Option<Pattern> {
    keys.parsed(key, &form.expected(), |text| form.fits(text).then(|| Pattern::new(text)))
}

/// What is wrong with a fingerprint that isn't from a file, if anything is.
pub fn fingerprint_problem(of: &Fingerprint) -> Option<String> {
    if of.is_empty() {
        return Some(format!("found a match that says nothing; expected {KEYS}"));
    }
    let texts = [
        ("path", &of.path, Form::Path),
        ("command_line", &of.command_line, Form::Words),
        ("parent", &of.parent, Form::Path),
        ("tag", &of.tag, Form::Words),
        ("cgroup", &of.cgroup, Form::Cgroup),
    ];
    let wrong = texts.into_iter().find_map(|(key, pattern, form)| {
        let text = pattern.as_ref().map(Pattern::as_str)?;
        (!form.fits(text)).then(|| format!("{key}: found {text:?}; expected {}", form.expected()))
    });
    let is_slip = |tag: &&Pattern| tag.as_str().contains('/') && !tag.as_str().contains([':', '*']);
    let slip = of.tag.as_ref().filter(is_slip).map(|tag| {
        let expected = "a path that begins with /, or an app's id such as snap:firefox";
        format!("tag: found {:?}; expected {expected}", tag.as_str())
    });
    wrong.or(slip).or_else(|| {
        let hash = of.sha256.as_ref()?;
        let is_good = sha256(hash).is_some_and(|good| good == *hash);
        (!is_good).then(|| {
            format!("sha256: found {hash:?}; expected 64 hexadecimal digits in lower case")
        })
    })
}

impl Form {
    fn expected(self) -> String {
        let start = match self {
            Self::Words => "",
            Self::Path => {
                " that begins with / or *, or with a container: docker:NAME:/usr/bin/curl"
            }
            Self::Cgroup => " that begins with / or *",
        };
        format!("text of 1 to {MAX_PATTERN_BYTES} bytes with at most {MAX_STARS} stars{start}")
    }

    fn fits(self, text: &str) -> bool {
        let is_bounded = (1..=MAX_PATTERN_BYTES).contains(&text.len())
            && text.bytes().filter(|byte| *byte == b'*').count() <= MAX_STARS;
        is_bounded && self.begins_well(text)
    }

    fn begins_well(self, text: &str) -> bool {
        let begins = text.starts_with(['/', '*']);
        match self {
            Self::Words => true,
            Self::Path => begins || names_container(text),
            Self::Cgroup => begins,
        }
    }
}

/// `docker:NAME:/path`, `docker@1000:NAME:/path`, `unknown:/path`, `memfd:NAME`, or with stars: `docker:*`.
fn names_container(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, rest)| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_@".contains(&byte);
        let has_path = rest.starts_with('/') || rest.contains(":/") || rest.contains('*');
        !kind.is_empty() && kind.bytes().all(is_word) && (has_path || kind == "memfd")
    })
}

/// What [`is_name`] expects.
pub fn name_expected() -> String {
    format!("a name of 1 to {MAX_NAME_BYTES} bytes without control characters")
}

fn name(text: &str) -> Option<Arc<str>> {
    is_name(text).then(|| Arc::from(text))
}

/// Whether an app can be called that.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn sha256(text: &str) -> Option<Arc<str>> {
    let is_hash = text.len() == SHA256_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| Arc::from(text.to_ascii_lowercase()))
}
