//! The names that rules know, and the nearest name to a misspelt one.

use seawall_messages::Protocol;

/// Protocols by name (IANA "Assigned Internet Protocol Numbers"); the first name of a number is printed.
const PROTOCOLS: [(&str, u8); 10] = [
    ("ICMP", 1),
    ("IGMP", 2),
    ("TCP", 6),
    ("UDP", 17),
    ("RDP", 27),
    ("DCCP", 33),
    ("ICMP6", 58),
    ("ICMPV6", 58),
    ("SCTP", 132),
    ("UDP-LITE", 136),
];

/// Ports by name.
const PORTS: [(&str, u16); 24] = [
    ("FTP-DATA", 20),
    ("FTP", 21),
    ("SSH", 22),
    ("TELNET", 23),
    ("SMTP", 25),
    ("WHOIS", 43),
    ("DNS", 53),
    ("DHCP-SERVER", 67),
    ("DHCP-CLIENT", 68),
    ("TFTP", 69),
    ("HTTP", 80),
    ("POP3", 110),
    ("NTP", 123),
    ("IMAP", 143),
    ("SNMP", 161),
    ("BGP", 179),
    ("IRC", 194),
    ("LDAP", 389),
    ("HTTPS", 443),
    ("SMB", 445),
    ("SMTP_ALT", 587),
    ("SMTP_SSL", 465),
    ("IMAP_SSL", 993),
    ("POP3_SSL", 995),
];

/// The protocol that is called that, in any case of letters.
pub fn protocol_number(name: &str) -> Option<Protocol> {
    PROTOCOLS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, number)| Protocol(*number))
}

pub(super) fn protocol_name(protocol: Protocol) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, number)| *number == protocol.0).map(|(name, _)| *name)
}

pub(super) fn protocol_names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(name, _)| *name)
}

pub(super) fn port_number(name: &str) -> Option<u16> {
    PORTS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, number)| *number)
}

pub(super) fn port_name(port: u16) -> Option<&'static str> {
    PORTS.iter().find(|(_, number)| *number == port).map(|(name, _)| *name)
}

/// The name that a misspelt word was most likely meant to be: at most a third
/// of its letters (and at least one) changed, added or left out.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if word.len() > LONGEST {
        return None;
    }
    names
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance, letters compared without case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().map(|character| character.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, character) in
        left.chars().map(|character| character.to_ascii_lowercase()).enumerate()
    {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}
