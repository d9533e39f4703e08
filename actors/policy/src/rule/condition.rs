//! The words behind whom and what a rule is about, in any order, each once: `off`,
//! `until=…`, `during=…`, `network=home`, `network!=home`, `user=alice`, `interface=eth*`.

use std::sync::Arc;

use seawall_messages::network::{is_interface_pattern, is_network_name};
use seawall_messages::rule::{InNetwork, InterfaceMatch, Only, UserMatch, When};

use super::names::nearest;
use super::when::{DURING, OFF, UNTIL, parse_times_of, print_when};
use super::{Fault, quoted};

const NETWORK: &str = "network";
const NOT_NETWORK: &str = "network!";
const USER: &str = "user";
const INTERFACE: &str = "interface";

/// Longest name of a user: what Linux knows (LOGIN_NAME_MAX).
const MAX_USER_BYTES: usize = 255;

/// What else has to be so.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// When the rule counts.
    pub(super) when: When,
    /// Where else, and of whom it speaks.
    pub(super) only: Only,
}

/// Whether the word belongs here, be it right or wrong.
pub(super) fn is_condition(word: &str) -> bool {
    word == OFF || word.contains('=')
}

impl Conditions {
    /// Takes up one word.
    pub(super) fn take(&mut self, word: &str) -> Result<(), Fault> {
        let Some((key, value)) = word.split_once('=') else {
            return match std::mem::replace(&mut self.when.off, true) {
                true => Err(again(word, word)),
                false => Ok(()),
            };
        };
        let is_there = match key {
            UNTIL => self.when.until.is_some(),
            DURING => self.when.during.is_some(),
            NETWORK | NOT_NETWORK => self.only.network.is_some(),
            USER => self.only.user.is_some(),
            INTERFACE => self.only.interface.is_some(),
            _ => return Err(unknown(key)),
        };
        if is_there {
            return Err(again(word, key.trim_end_matches('!')));
        }
        self.parse(key, value).map_err(|fault| fault.moved(key.len() + 1))
    }

    fn parse(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        match key {
            NETWORK | NOT_NETWORK => {
                let name = parse_network(value)?;
                self.only.network = Some(InNetwork { name, inside: key == NETWORK });
            }
            USER => self.only.user = Some(parse_user(value)?),
            INTERFACE => self.only.interface = Some(parse_interface(value)?),
            _ => parse_times_of(key, value, &mut self.when)?,
        }
        Ok(())
    }

    /// The second part, where it asks for anything.
    pub(super) fn shared_only(&self) -> Option<Arc<Only>> {
        (!self.only.is_empty()).then(|| Arc::new(self.only.clone()))
    }
}

/// The canonical form, with a space before each word.
pub(super) fn print_conditions(when: &When, only: Option<&Only>) -> String {
    let mut text = print_when(when);
    let Some(Only { network, user, interface }) = only else { return text };
    if let Some(InNetwork { name, inside }) = network {
        let key = if *inside { NETWORK } else { NOT_NETWORK };
        text.push_str(&format!(" {key}={name}"));
    }
    match user {
        Some(UserMatch { name: Some(name), .. }) => text.push_str(&format!(" {USER}={name}")),
        Some(UserMatch { id: Some(id), .. }) => text.push_str(&format!(" {USER}={id}")),
        _ => {}
    }
    if let Some(InterfaceMatch { pattern, .. }) = interface {
        text.push_str(&format!(" {INTERFACE}={pattern}"));
    }
    text
}

/// Where a word of the line names a network: its bytes.
pub(super) fn network_span(at: usize, word: &str) -> Option<std::ops::Range<usize>> {
    let (key, _) = word.split_once('=')?;
    matches!(key, NETWORK | NOT_NETWORK).then(|| at + key.len() + 1..at + word.len())
}

fn again(word: &str, key: &str) -> Fault {
    Fault::new(0..word.len(), format!("{} again", quoted(key)), "it once")
}

fn unknown(key: &str) -> Fault {
    let hint = nearest(key, [UNTIL, DURING, NETWORK, USER, INTERFACE].into_iter())
        .map_or(String::new(), |known| format!("; {known}=, perhaps"));
    let expected = format!("until=…, during=…, network=…, user=…, interface=… or off{hint}");
    Fault::new(0..key.len(), quoted(key), expected)
}

fn parse_network(text: &str) -> Result<Arc<str>, Fault> {
    if is_network_name(text) {
        return Ok(Arc::from(text));
    }
    let found = if text.is_empty() { "no network".to_owned() } else { quoted(text) };
    Err(Fault::new(
        0..text.len(),
        found,
        "the name of a network, as [[network]] or `seawall network` has it",
    ))
}

fn parse_interface(text: &str) -> Result<InterfaceMatch, Fault> {
    if is_interface_pattern(text) {
        return Ok(InterfaceMatch::new(text));
    }
    let found = if text.is_empty() { "no interface".to_owned() } else { quoted(text) };
    let expected = "the name of an interface, of 1 to 15 bytes, such as eth0 or wl*";
    Err(Fault::new(0..text.len(), found, expected))
}

/// A number, or a name as useradd(8) takes it: of any letters, digits and `-_.@$`.
fn parse_user(text: &str) -> Result<UserMatch, Fault> {
    if let Ok(id) = text.parse::<u32>()
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Ok(UserMatch { name: None, id: Some(id) });
    }
    let is_letter = |letter: char| letter.is_alphanumeric() || "-_.@$".contains(letter);
    let is_name = (1..=MAX_USER_BYTES).contains(&text.len())
        && text.chars().all(is_letter)
        && !text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    if is_name {
        return Ok(UserMatch { name: Some(Arc::from(text)), id: None });
    }
    let found = if text.is_empty() { "no user".to_owned() } else { quoted(text) };
    Err(Fault::new(0..text.len(), found, "the name of a user, or a user id such as 1000"))
}
