//! The messages of generic netlink's controller and of nl80211 (linux/genetlink.h, linux/nl80211.h).

use seawall_messages::network::Ssid;

use super::super::super::netlink::{Request, attributes, read_u16, read_u32};

/// GENL_ID_CTRL: the family that tells of families. Its one group has the same number.
const CONTROLLER: u16 = 0x10;
/// Bit of that group.
pub(super) const FAMILIES_GROUP: u32 = 1 << (CONTROLLER - 1);
const CTRL_CMD_NEWFAMILY: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

const NL80211: &[u8] = b"nl80211";
/// The group of what becomes of connections (NL80211_MULTICAST_GROUP_MLME).
const MLME: &[u8] = b"mlme";
const NL80211_CMD_GET_INTERFACE: u8 = 5;
const NL80211_CMD_NEW_INTERFACE: u8 = 7;
const NL80211_CMD_JOIN_IBSS: u8 = 43;
const NL80211_CMD_CONNECT: u8 = 46;
const NL80211_CMD_ROAM: u8 = 47;
const NL80211_CMD_DISCONNECT: u8 = 48;
const NL80211_ATTR_IFINDEX: u16 = 3;
const NL80211_ATTR_SSID: u16 = 52;

/// `struct genlmsghdr`: command, version, two bytes of zero.
const HEADER_BYTES: usize = 4;
const VERSION: u8 = 1;

/// nl80211, whose numbers are others on each machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) id: u16,
    /// The group [`MLME`].
    pub(super) connections: Option<u32>,
}

/// What a message says that came unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// nl80211 has come.
    Family(Family),
    /// A wireless network was joined or left.
    Connection,
    /// Nothing that matters here.
    None,
}

/// Asks for all families.
pub(super) fn families() -> Request {
    request(CONTROLLER, CTRL_CMD_GETFAMILY)
}

/// Asks for all wireless interfaces.
pub(super) fn interfaces(family: &Family) -> Request {
    request(family.id, NL80211_CMD_GET_INTERFACE)
}

fn request(family: u16, command: u8) -> Request {
    Request::new(family, &[command, VERSION, 0, 0])
}

/// nl80211, where a message of the controller tells that it is there.
pub(super) fn family(payload: &[u8]) -> Option<Family> {
    let (command, listed) = payload.split_at_checked(HEADER_BYTES)?;
    if command.first() != Some(&CTRL_CMD_NEWFAMILY) {
        return None;
    }
    let (mut id, mut is_it, mut connections) = (None, false, None);
    for (kind, value) in attributes(listed) {
        match kind {
            CTRL_ATTR_FAMILY_ID => id = read_u16(value, 0),
            CTRL_ATTR_FAMILY_NAME => is_it = is_text(value, NL80211),
            CTRL_ATTR_MCAST_GROUPS => connections = group(value),
            _ => {}
        }
    }
    is_it.then_some(Family { id: id?, connections })
}

/// The number of the group [`MLME`] in a list of groups.
fn group(listed: &[u8]) -> Option<u32> {
    attributes(listed).find_map(|(_, one)| {
        let (mut id, mut is_it) = (None, false);
        for (kind, value) in attributes(one) {
            match kind {
                CTRL_ATTR_MCAST_GRP_NAME => is_it = is_text(value, MLME),
                CTRL_ATTR_MCAST_GRP_ID => id = read_u32(value, 0),
                _ => {}
            }
        }
        id.filter(|_| is_it)
    })
}

/// A text ends with a zero.
fn is_text(value: &[u8], text: &[u8]) -> bool {
    value.strip_suffix(&[0]) == Some(text)
}

/// The number of an interface, and the name of the network that it is connected to.
pub(super) fn connected(payload: &[u8]) -> Option<(u32, Ssid)> {
    let (command, listed) = payload.split_at_checked(HEADER_BYTES)?;
    if command.first() != Some(&NL80211_CMD_NEW_INTERFACE) {
        return None;
    }
    let (mut interface, mut ssid) = (None, None);
    for (kind, value) in attributes(listed) {
        match kind {
            NL80211_ATTR_IFINDEX => interface = read_u32(value, 0),
            NL80211_ATTR_SSID => ssid = Ssid::new(value),
            _ => {}
        }
    }
    Some((interface?, ssid?))
}

/// What a message of either group says.
pub(super) fn news(kind: u16, payload: &[u8]) -> News {
    if kind == CONTROLLER {
        return family(payload).map_or(News::None, News::Family);
    }
    match payload.first() {
        Some(
            &(NL80211_CMD_JOIN_IBSS
            | NL80211_CMD_CONNECT
            | NL80211_CMD_ROAM
            | NL80211_CMD_DISCONNECT),
        ) => News::Connection,
        _ => News::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: u16 = 1 << 15;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).expect("short");
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    /// A payload as the kernel writes it.
    fn payload(command: u8, listed: &[Vec<u8>]) -> Vec<u8> {
        [vec![command, 1, 0, 0], listed.concat()].concat()
    }

    fn multicast(number: u16, name: &[u8], id: u32) -> Vec<u8> {
        let inside = [attribute(2, &id.to_ne_bytes()), attribute(1, name)].concat();
        attribute(number | NESTED, &inside)
    }

    /// As of Linux 6.12, with what isn't looked at: version, header's size, most attributes, commands.
    fn told_of(name: &[u8]) -> Vec<u8> {
        let operation = [attribute(1, &1_u32.to_ne_bytes()), attribute(2, &[0x0e, 0, 0, 0])];
        let groups = [
            multicast(1, b"config\0", 6),
            multicast(2, b"scan\0", 7),
            multicast(3, b"regulatory\0", 8),
            multicast(4, b"mlme\0", 9),
            multicast(5, b"vendor\0", 10),
        ];
        let listed = [
            attribute(2, name),
            attribute(1, &37_u16.to_ne_bytes()),
            attribute(3, &1_u32.to_ne_bytes()),
            attribute(4, &0_u32.to_ne_bytes()),
            attribute(5, &336_u32.to_ne_bytes()),
            attribute(6 | NESTED, &attribute(1 | NESTED, &operation.concat())),
            attribute(7 | NESTED, &groups.concat()),
        ];
        payload(1, &listed)
    }

    fn interface(ssid: &[Vec<u8>]) -> Vec<u8> {
        let mut listed = vec![
            attribute(3, &7_u32.to_ne_bytes()),
            attribute(4, b"wlan0\0"),
            attribute(1, &0_u32.to_ne_bytes()),
            attribute(5, &2_u32.to_ne_bytes()),
            attribute(153, &1_u64.to_ne_bytes()),
            attribute(6, &[2, 0, 0, 0, 0, 0]),
            attribute(46, &5_u32.to_ne_bytes()),
            attribute(38, &2412_u32.to_ne_bytes()),
        ];
        listed.extend_from_slice(ssid);
        payload(7, &listed)
    }

    #[test]
    fn the_family_and_its_group_are_found_by_their_names() {
        let nl80211 = Family { id: 37, connections: Some(9) };
        assert_eq!(family(&told_of(b"nl80211\0")), Some(nl80211));
        assert_eq!(news(CONTROLLER, &told_of(b"nl80211\0")), News::Family(nl80211));
        for other in [&b"nl80211x\0"[..], b"nl80211", b"nlctrl\0", b"\0", b""] {
            assert_eq!(family(&told_of(other)), None, "{other:?}");
        }
        let mut gone = told_of(b"nl80211\0");
        gone[0] = 2;
        assert_eq!(news(CONTROLLER, &gone), News::None, "the family went");
        let bare = [attribute(2, b"nl80211\0"), attribute(1, &37_u16.to_ne_bytes())];
        assert_eq!(family(&payload(1, &bare)), Some(Family { id: 37, connections: None }));
        assert_eq!(family(&payload(1, &bare[..1])), None, "it has no number");
    }

    #[test]
    fn an_interface_is_told_with_the_network_that_it_is_connected_to() {
        let name = |value: &[u8]| vec![attribute(52, value)];
        let told = |listed: &[Vec<u8>]| connected(&interface(listed));
        for known in [&b"cafe"[..], b"caf\xe9\0\x1b", &[b'x'; 32]] {
            assert_eq!(told(&name(known)), Ssid::new(known).map(|ssid| (7, ssid)), "{known:?}");
        }
        for unknown in [&b""[..], &[0; 4], &[b'x'; 33]] {
            assert_eq!(told(&name(unknown)), None, "{unknown:?}");
        }
        assert_eq!(told(&[]), None, "not connected");
        let unnumbered = payload(7, &[attribute(52, b"cafe")]);
        assert_eq!(connected(&unnumbered), None, "a device that is no interface");
        let mut other = interface(&[attribute(52, b"cafe")]);
        other[0] = 8;
        assert_eq!(connected(&other), None, "it was taken away");
    }

    #[test]
    fn joining_and_leaving_is_news_and_nothing_else() {
        for command in 0..=u8::MAX {
            let expected =
                if [43, 46, 47, 48].contains(&command) { News::Connection } else { News::None };
            assert_eq!(news(37, &payload(command, &[])), expected, "{command}");
        }
    }

    #[test]
    fn messages_that_are_cut_off_tell_less_and_nothing_else() {
        let (told, seen) = (told_of(b"nl80211\0"), interface(&[attribute(52, b"cafe")]));
        for length in 0..told.len() {
            let cut = family(&told[..length]);
            assert!(cut.is_none_or(|family| family.id == 37), "{cut:?}");
        }
        for length in 0..seen.len() {
            assert_eq!(connected(&seen[..length]), None, "{length}");
        }
        assert_eq!(news(37, &[]), News::None);
    }
}
