//! Names in rules: `example.com`, `.example.com`, `*example.com`, `example.*`, `*example*`.

use std::sync::Arc;

use seawall_messages::rule::{DomainForm, DomainPattern, Entity, domain_name};

use super::{Fault, quoted};

const EXPECTED: &str = "*, an address, a network such as 10.0.0.0/8, a scope (localhost, lan, \
                        internet), a name such as .example.com, a country (AT), C:EU, AS15169 or \
                        a filter list (L:TRAC)";

pub(super) fn parse_domain(text: &str) -> Result<Entity, Fault> {
    let written = text.to_ascii_lowercase();
    let (form, inner) = match (written.strip_prefix('*'), written.strip_suffix('*')) {
        (Some(rest), Some(_)) => (DomainForm::Contains, rest.strip_suffix('*').unwrap_or(rest)),
        (Some(rest), None) => (DomainForm::Suffix, rest),
        (None, Some(rest)) => (DomainForm::Prefix, rest),
        (None, None) => match written.strip_prefix('.') {
            Some(rest) => (DomainForm::Zone, rest),
            None => (DomainForm::Exact, written.as_str()),
        },
    };
    let compared = match form {
        DomainForm::Exact | DomainForm::Zone => whole_name(text, inner)?,
        DomainForm::Suffix | DomainForm::Prefix | DomainForm::Contains => {
            part_of_a_name(text, form, inner)?
        }
    };
    let pattern =
        DomainPattern { form, text: Arc::from(compared), written: Arc::from(written.as_str()) };
    Ok(Entity::Domain(pattern))
}

fn whole_name(text: &str, inner: &str) -> Result<String, Fault> {
    let wrong = |expected: &str| Fault::new(0..text.len(), quoted(text), expected);
    if !text.is_ascii()
        && text.chars().all(|letter| letter.is_alphanumeric() || ".-_".contains(letter))
    {
        return Err(wrong("a name as the DNS writes it: xn--… in place of other letters"));
    }
    if inner.is_empty() || !inner.bytes().all(is_of_a_name) {
        return Err(wrong(EXPECTED));
    }
    let name = domain_name(inner).filter(|name| name != ".");
    name.ok_or_else(|| wrong("a name whose parts have 1 to 63 letters each, 253 in all"))
}

fn part_of_a_name(text: &str, form: DomainForm, inner: &str) -> Result<String, Fault> {
    const LONGEST: usize = 253;
    let is_letter = |byte: u8| is_of_a_name(byte) && byte != b'_';
    let wrong = match inner {
        inner if inner.is_empty() || inner.contains('*') || !inner.is_ascii() => EXPECTED,
        inner if !inner.bytes().all(is_letter) => {
            "letters, digits, dots and - between or beside the stars"
        }
        inner if inner.contains("..") => "one dot where there are two, for no name has that",
        inner if form == DomainForm::Prefix && inner.starts_with('.') => {
            "a beginning that a name can have, or a star before it, too"
        }
        inner if inner.len() > LONGEST => "at most 253 letters",
        inner if form == DomainForm::Suffix && !inner.ends_with('.') => {
            return Ok(format!("{inner}."));
        }
        inner => return Ok(inner.to_owned()),
    };
    Err(Fault::new(0..text.len(), quoted(text), wrong))
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}
