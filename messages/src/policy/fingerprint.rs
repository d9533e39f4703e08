//! Whom an `[[app]]` is about: what a process has to look like.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::apps::Literal;
use crate::process::{AppKind, Process};

/// What a process looks like. All that is said has to fit; something is always said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fingerprint {
    /// Its path, as [`Process::path`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Pattern>,
    /// Its command line, the words joined by single spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<Pattern>,
    /// Its parent's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Pattern>,
    /// Its app's id: `snap:firefox`, `script:/usr/bin/meld`, `unidentified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Pattern>,
    /// Its control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Pattern>,
    /// SHA-256 of its file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Arc<str>>,
}

/// Text in which each `*` stands for any text, none included.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(Arc<str>);

impl Fingerprint {
    /// Whether nothing is said. Such a fingerprint fits nobody.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all that is said fits. What isn't known of a process is empty
    /// text, but for its hash: an unknown one never fits.
    pub fn fits(&self, process: &Process) -> bool {
        let fits = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
        };
        !self.is_empty()
            && fits(&self.path, &process.path)
            && fits(&self.parent, &process.parent_path)
            && fits(&self.tag, &process.app.id)
            && fits(&self.cgroup, &process.cgroup)
            && self.sha256.as_ref().is_none_or(|hash| process.sha256.as_ref() == Some(hash))
            // Last, because its text has to be put together first.
            && self
                .command_line
                .as_ref()
                .is_none_or(|pattern| pattern.fits(&process.command_line.join(" ")))
    }

    /// How telling it is: what says more of a process counts before what says less.
    pub(super) fn weight(&self) -> (u32, usize) {
        let of = |pattern: &Option<Pattern>, exact: u32| match pattern {
            Some(pattern) if pattern.is_literal() => (exact, pattern.0.len()),
            Some(pattern) => (exact / 2, pattern.0.len()),
            None => (0, 0),
        };
        let parts = [
            self.sha256.as_ref().map_or((0, 0), |hash| (64, hash.len())),
            of(&self.command_line, 32),
            of(&self.tag, 16),
            of(&self.path, 16),
            of(&self.parent, 8),
            of(&self.cgroup, 8),
        ];
        parts.iter().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
    }

    /// What only processes of one path or one id have.
    pub(super) fn literal(&self) -> Literal {
        let of = |pattern: &Option<Pattern>| {
            pattern.as_ref().filter(|pattern| pattern.is_literal()).map(|text| text.0.clone())
        };
        match (of(&self.path), of(&self.tag)) {
            (Some(path), _) => Literal::Path(path),
            (None, Some(tag)) => Literal::Tag(tag),
            (None, None) => Literal::None,
        }
    }

    /// Whether it is about connections that nobody knows the owner of: it says
    /// `tag = "unidentified"` and nothing else.
    pub fn means_unidentified(&self) -> bool {
        let Self { path, command_line, parent, tag, cgroup, sha256 } = self;
        let others = [path, command_line, parent, cgroup];
        others.into_iter().all(Option::is_none)
            && sha256.is_none()
            && tag.as_ref().is_some_and(|tag| tag.as_str() == AppKind::Unidentified.as_str())
    }
}

impl fmt::Display for Fingerprint {
    /// All that is said: `path=/usr/bin/python3*, command_line=*meld*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pattern: &'_ Option<Pattern>| pattern.as_ref().map(|pattern| pattern.0.clone());
        let said = [
            ("path", text(&self.path)),
            ("command_line", text(&self.command_line)),
            ("parent", text(&self.parent)),
            ("tag", text(&self.tag)),
            ("cgroup", text(&self.cgroup)),
            ("sha256", self.sha256.clone()),
        ];
        let said = said.into_iter().filter_map(|(key, text)| Some((key, text?)));
        for (index, (key, text)) in said.enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{key}={text}")?;
        }
        Ok(())
    }
}

impl Pattern {
    /// From its text.
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one text only.
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the whole of `text` fits. Takes time linear in both for each `*`.
    pub fn fits(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut text) = text.strip_prefix(head) else { return false };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            match text.find(part) {
                Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        text.ends_with(tail)
    }
}
