//! Names of hosts, and the forms in which rules speak of them.
//!
//! Names are compared as the DNS writes them: in lower case, with the dot of
//! the root at the end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name in bytes, with the dot at its end (RFC 1035, 2.3.4: 255 bytes on the wire).
const MAX_NAME_BYTES: usize = 254;

/// Longest label in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// How a pattern is compared with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainForm {
    /// `example.com`: this name.
    Exact,
    /// `.example.com`: this name and all below it.
    Zone,
    /// `*example.com`: names that end so, be it within a label.
    Suffix,
    /// `example.*`: names that begin so.
    Prefix,
    /// `*example*`: names with this in them.
    Contains,
}

/// Names that a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainPattern {
    /// How it is compared.
    pub form: DomainForm,
    /// What it is compared with: stars and the first dot of a zone left out, and
    /// with the dot of the root where the pattern reaches to the end of a name.
    pub text: Arc<str>,
    /// As it was written, in lower case.
    pub written: Arc<str>,
}

impl DomainPattern {
    /// Whether the pattern speaks of this name.
    pub fn fits(&self, name: &str) -> bool {
        let text = &*self.text;
        match self.form {
            DomainForm::Exact => name == text,
            DomainForm::Zone => is_in_zone(name, text),
            DomainForm::Suffix => name.ends_with(text),
            DomainForm::Prefix => name.starts_with(text),
            DomainForm::Contains => name.contains(text),
        }
    }
}

/// The name as rules compare it, or `None` where the text is no name.
pub fn domain_name(text: &str) -> Option<String> {
    let mut name = text.to_ascii_lowercase();
    if !name.ends_with('.') {
        name.push('.');
    }
    is_domain_name(&name).then_some(name)
}

/// Whether the text is a whole name: labels of letters, digits, `-` and `_`, in
/// lower case, with the dot of the root at the end. The root alone is one, too.
pub fn is_domain_name(name: &str) -> bool {
    if name == "." {
        return true;
    }
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
            })
    };
    name.len() <= MAX_NAME_BYTES
        && name.strip_suffix('.').is_some_and(|labels| labels.split('.').all(is_label))
}

/// Whether a name is that of a zone, or below it.
pub fn is_in_zone(name: &str, zone: &str) -> bool {
    let before = name.strip_suffix(zone);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The zone of a name that somebody has registered, by the Public Suffix List: `example.co.uk.`
/// of `www.example.co.uk.`. None of a public suffix: below `co.uk.` are the names of others.
pub fn registered_zone(name: &str) -> Option<&str> {
    let registered = psl::domain_str(name.strip_suffix('.')?)?;
    name.get(name.len() - 1 - registered.len()..)
}

/// A name as people write it: without the dot of the root.
pub fn written_name(name: &str) -> &str {
    name.strip_suffix('.').filter(|name| !name.is_empty()).unwrap_or(name)
}

/// A name and those of the zones that it lies in, from the inside out:
/// `www.example.com.`, `example.com.`, `com.`.
pub fn zones_of(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(name).filter(|name| !name.is_empty());
    std::iter::from_fn(move || {
        let zone = rest?;
        rest = zone.split_once('.').map(|(_, above)| above).filter(|above| !above.is_empty());
        Some(zone)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_is_none() {
        let label = |length| "a".repeat(length);
        let good = [
            ".".to_owned(),
            "at.".to_owned(),
            "orf.at.".to_owned(),
            "www.orf.at.".to_owned(),
            "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.x.y.z.example.org.".to_owned(),
            "a_a.com.".to_owned(),
            "a-a.com.".to_owned(),
            "xn--a.com.".to_owned(),
            format!("xn--{}.com.", label(59)),
            "-.com.".to_owned(),
            "_.com.".to_owned(),
            "a_.com.".to_owned(),
            "a-.com.".to_owned(),
            "_a.com.".to_owned(),
            "-a.com.".to_owned(),
            "iuqerfsodp9ifjaposdfjhgosurijfaewrwergwea.com.".to_owned(),
            format!("{}as.com.", "asdf.".repeat(49)),
        ];
        for name in good {
            assert!(is_domain_name(&name), "{name}");
        }
        let bad = [
            String::new(),
            ".com.".to_owned(),
            "a..com.".to_owned(),
            "example.com".to_owned(),
            "Example.com.".to_owned(),
            "a b.com.".to_owned(),
            "bücher.example.".to_owned(),
            format!("xn--{}.com.", label(60)),
            format!("{}.com.", label(64)),
            format!("{}as.com.", "asdf.".repeat(52)),
        ];
        for name in bad {
            assert!(!is_domain_name(&name), "{name}");
        }
    }

    #[test]
    fn what_people_write_becomes_a_name() {
        assert_eq!(domain_name("WWW.Example.com").as_deref(), Some("www.example.com."));
        assert_eq!(domain_name("example.com.").as_deref(), Some("example.com."));
        assert_eq!(domain_name("example..com"), None);
        assert_eq!(domain_name(""), Some(".".to_owned()));
    }

    #[test]
    fn a_zone_is_what_somebody_has_registered() {
        let cases = [
            ("www.example.com.", Some("example.com.")),
            ("a.b.c.example.com.", Some("example.com.")),
            ("example.com.", Some("example.com.")),
            ("www.example.co.uk.", Some("example.co.uk.")),
            ("me.github.io.", Some("me.github.io.")),
            ("www.me.github.io.", Some("me.github.io.")),
            ("printer.lan.", Some("printer.lan.")),
            // Suffixes, and what has nothing below it.
            ("com.", None),
            ("co.uk.", None),
            ("github.io.", None),
            ("localhost.", None),
            (".", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(registered_zone(name), expected, "{name}");
        }
        assert_eq!((written_name("example.com."), written_name(".")), ("example.com", "."));
        let cases = [("example.com.", true), ("a.example.com.", true), ("anexample.com.", false)];
        for (name, expected) in cases {
            assert_eq!(is_in_zone(name, "example.com."), expected, "{name}");
        }
    }

    #[test]
    fn zones_go_from_the_inside_out() {
        let zones: Vec<_> = zones_of("www.example.com.").collect();
        assert_eq!(zones, ["www.example.com.", "example.com.", "com."]);
        assert_eq!(zones_of(".").collect::<Vec<_>>(), ["."]);
        assert_eq!(zones_of("").count(), 0);
    }
}
