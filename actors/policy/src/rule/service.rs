//! Which protocol and ports a rule is about: `TCP`, `TCP/80`, `*/DNS`, `17/1000-2000`.

use seawall_messages::Protocol;
use seawall_messages::rule::Service;

use super::names::{
    nearest, port_name, port_number, protocol_name, protocol_names, protocol_number,
};
use super::{Fault, quoted};

/// The canonical form of a service: numbers that have a name are printed by it,
/// ranges always in numbers.
pub fn print_service(service: Service) -> String {
    let protocol = match service.protocol {
        None => "*".to_owned(),
        Some(protocol) => {
            protocol_name(protocol).map_or_else(|| protocol.0.to_string(), str::to_owned)
        }
    };
    match service.ports {
        None => protocol,
        Some((first, last)) if first == last => {
            let port = port_name(first).map_or_else(|| first.to_string(), str::to_owned);
            format!("{protocol}/{port}")
        }
        Some((first, last)) => format!("{protocol}/{first}-{last}"),
    }
}

pub(super) fn parse_service(text: &str) -> Result<Service, Fault> {
    let (protocol_text, ports_text) = match text.split_once('/') {
        None => (text, None),
        Some((protocol, ports)) => (protocol, Some(ports)),
    };
    let protocol = parse_protocol(protocol_text)?;
    let Some(ports_text) = ports_text else {
        return match protocol {
            Some(_) => Ok(Service { protocol, ports: None }),
            None => {
                Err(Fault::new(0..text.len(), "`*` without a port", "*/port, or nothing at all"))
            }
        };
    };
    let at = protocol_text.len() + 1;
    if let Some(protocol) = protocol
        && !protocol.has_ports()
    {
        return Err(Fault::new(
            at - 1..text.len(),
            format!("a port, which {} doesn't have", quoted(protocol_text)),
            "the end of the word; TCP, UDP, DCCP, SCTP, UDP-LITE and * take a port",
        ));
    }
    let ports = parse_ports(ports_text).map_err(|fault| fault.moved(at))?;
    Ok(Service { protocol, ports: Some(ports) })
}

fn parse_protocol(text: &str) -> Result<Option<Protocol>, Fault> {
    if text == "*" {
        return Ok(None);
    }
    if let Some(number) = decimal(text).and_then(|number| u8::try_from(number).ok()) {
        return Ok(Some(Protocol(number)));
    }
    if let Some(protocol) = protocol_number(text) {
        return Ok(Some(protocol));
    }
    let hint = match nearest(text, protocol_names()) {
        Some(name) if !text.is_empty() => format!("; {name}, perhaps"),
        _ => String::new(),
    };
    let found = if text.is_empty() { "no protocol".to_owned() } else { quoted(text) };
    Err(Fault::new(
        0..text.len(),
        found,
        format!("a protocol by number (0 to 255) or name (TCP, UDP, ICMP, ICMP6 …), or *{hint}"),
    ))
}

/// One port or a range. Names contain `-` (FTP-DATA), so a range is cut at the
/// first `-` that leaves a port on both sides.
fn parse_ports(text: &str) -> Result<(u16, u16), Fault> {
    if let Some(port) = parse_port(text) {
        return Ok((port, port));
    }
    let range = text
        .match_indices('-')
        .find_map(|(at, _)| Some((parse_port(&text[..at])?, parse_port(&text[at + 1..])?)));
    match range {
        Some((first, last)) if last < first => Err(Fault::new(
            0..text.len(),
            format!("{}, which ends before it begins", quoted(text)),
            format!("{last}-{first}, perhaps"),
        )),
        Some(range) => Ok(range),
        None => Err(wrong_port(text)),
    }
}

fn wrong_port(text: &str) -> Fault {
    const EXPECTED: &str = "a port of 1 to 65535, its name (HTTP, SSH …) or a range";
    if text.is_empty() {
        return Fault::new(0..0, "nothing after the /", EXPECTED);
    }
    // In a range, the end that is wrong.
    let span = match text.split_once('-') {
        Some((first, last)) if parse_port(first).is_some() && !last.is_empty() => {
            first.len() + 1..text.len()
        }
        Some((first, last)) if parse_port(last).is_some() && !first.is_empty() => 0..first.len(),
        _ => 0..text.len(),
    };
    Fault::new(span.clone(), quoted(&text[span]), EXPECTED)
}

fn parse_port(text: &str) -> Option<u16> {
    match decimal(text) {
        Some(number) => u16::try_from(number).ok().filter(|port| *port != 0),
        None => port_number(text),
    }
}

/// Digits only: no sign, no spaces.
fn decimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
