//! Reads what the kernel says over a queue socket. Total: any bytes give an answer.
//!
//! Layout: linux/netlink.h, linux/netfilter/nfnetlink.h and
//! linux/netfilter/nfnetlink_queue.h. Netlink's own fields are in host byte
//! order, those of netfilter in network byte order.

/// NLMSG_ERROR.
const ERROR: u16 = 2;
/// NFNL_SUBSYS_QUEUE with NFQNL_MSG_PACKET.
const PACKET: u16 = 3 << 8;
/// Netlink header with its netfilter extension (struct nlmsghdr, struct nfgenmsg).
const HEADER_BYTES: usize = 16 + 4;
/// NLA_TYPE_MASK: without the flags for nesting and byte order.
const ATTRIBUTE_KIND: u16 = 0x3fff;

/// Attributes of a packet message (enum nfqnl_attr_type).
mod attribute {
    pub(super) const PACKET_HEADER: u16 = 1;
    pub(super) const MARK: u16 = 3;
    pub(super) const IN_INTERFACE: u16 = 5;
    pub(super) const OUT_INTERFACE: u16 = 6;
    pub(super) const PAYLOAD: u16 = 10;
    pub(super) const WHOLE_LENGTH: u16 = 13;
    pub(super) const UID: u16 = 16;
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A packet that wants a verdict.
    Packet(Queued<'a>),
    /// The kernel refused something that we sent.
    Refused {
        /// Why, as a positive error number.
        errno: i32,
    },
    /// Anything else.
    Other,
}

/// A packet as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queued<'a> {
    pub(super) queue_number: u16,
    pub(super) id: u32,
    pub(super) mark: u32,
    pub(super) uid: Option<u32>,
    pub(super) in_interface: Option<u32>,
    pub(super) out_interface: Option<u32>,
    /// Of the whole packet.
    pub(super) length_bytes: u32,
    /// What was copied of it, from the IP header on.
    pub(super) payload: &'a [u8],
}

/// Reads one message, which may be cut short. A packet is one if its id is there.
pub(super) fn read(bytes: &[u8]) -> Message<'_> {
    let Some((header, attributes)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Message::Other;
    };
    match u16::from_ne_bytes([header[4], header[5]]) {
        PACKET => read_packet(u16::from_be_bytes([header[18], header[19]]), attributes)
            .map_or(Message::Other, Message::Packet),
        ERROR => {
            let code = i32::from_ne_bytes([header[16], header[17], header[18], header[19]]);
            Message::Refused { errno: code.saturating_neg() }
        }
        _ => Message::Other,
    }
}

fn read_packet(queue_number: u16, attributes: &[u8]) -> Option<Queued<'_>> {
    let mut id = None;
    let mut whole_length = None;
    let mut packet = Queued {
        queue_number,
        id: 0,
        mark: 0,
        uid: None,
        in_interface: None,
        out_interface: None,
        length_bytes: 0,
        payload: &[],
    };
    for Attribute { kind, declared_bytes, value } in (Attributes { rest: attributes }) {
        match kind {
            attribute::PACKET_HEADER => id = word(value),
            attribute::MARK => packet.mark = word(value).unwrap_or(0),
            attribute::IN_INTERFACE => packet.in_interface = word(value),
            attribute::OUT_INTERFACE => packet.out_interface = word(value),
            attribute::UID => packet.uid = word(value),
            attribute::WHOLE_LENGTH => whole_length = word(value),
            attribute::PAYLOAD => {
                packet.payload = value;
                packet.length_bytes = u32::from(declared_bytes);
            }
            _ => {}
        }
    }
    packet.id = id?;
    // Only told where less than the whole was copied.
    packet.length_bytes = whole_length.unwrap_or(packet.length_bytes);
    Some(packet)
}

fn word(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

struct Attribute<'a> {
    kind: u16,
    /// As it says itself; `value` is shorter where the message was cut.
    declared_bytes: u16,
    value: &'a [u8],
}

struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, body) = self.rest.split_first_chunk::<4>()?;
        let length_bytes = u16::from_ne_bytes([header[0], header[1]]);
        let kind = u16::from_ne_bytes([header[2], header[3]]) & ATTRIBUTE_KIND;
        let declared_bytes = length_bytes.checked_sub(4)?;
        let length = usize::from(declared_bytes);
        self.rest = body.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, declared_bytes, value: body.get(..length).unwrap_or(body) })
    }
}

#[cfg(test)]
mod tests;
