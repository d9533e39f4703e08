//! Names of wireless networks: up to 32 bytes, any of them (IEEE 802.11, 9.4.2.2). As text, what
//! people can read stands for itself; a backslash is `\\`, and every other byte is `\xNN`. So
//! each name has a text that says it, no two have the same, and a text is what `match` takes.
//! A `*` is a star: whoever names a network chooses the letters, and may choose that one.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name of a wireless network, in bytes.
pub const MAX_SSID_BYTES: usize = 32;

/// The name of a wireless network.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ssid(Arc<[u8]>);

/// Why a text is no name of a wireless network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSsid;

impl Ssid {
    /// What a text that names one looks like.
    pub const EXPECTED: &str = "the name of a wireless network, of 1 to 32 bytes: \
        a backslash in it is written `\\\\`, and a byte that is no text `\\xNN`";

    /// The name of these bytes. `None` without any, with too many, and where all are zero, which is
    /// how networks look that hide their name.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let is_hidden = bytes.iter().all(|byte| *byte == 0);
        (bytes.len() <= MAX_SSID_BYTES && !is_hidden).then(|| Self(Arc::from(bytes)))
    }
}

/// Whether a letter stands for itself. Letters that can't be seen, or that change what stands around
/// them, don't: a name could be taken for another one by them.
fn is_plain(letter: char, is_first: bool) -> bool {
    if matches!(letter, '"' | '\'') {
        return true;
    }
    // What combines with the letter before it needs one.
    let text: String = (!is_first).then_some('x').into_iter().chain([letter]).collect();
    text.escape_debug().eq(text.chars())
}

impl fmt::Display for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut is_first = true;
            for letter in chunk.valid().chars() {
                match letter {
                    '\\' => f.write_str("\\\\")?,
                    _ if is_plain(letter, is_first) => f.write_char(letter)?,
                    _ => write_bytes(f, letter.encode_utf8(&mut [0; 4]).as_bytes())?,
                }
                is_first = false;
            }
            write_bytes(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

impl std::str::FromStr for Ssid {
    type Err = NoSsid;

    fn from_str(text: &str) -> Result<Self, NoSsid> {
        let mut bytes = Vec::with_capacity(MAX_SSID_BYTES);
        let mut rest = text.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let byte = match byte {
                b'\\' => escaped(&mut rest).ok_or(NoSsid)?,
                byte => byte,
            };
            if bytes.len() == MAX_SSID_BYTES {
                return Err(NoSsid);
            }
            bytes.push(byte);
        }
        Self::new(&bytes).ok_or(NoSsid)
    }
}

/// The byte that is written behind a backslash.
fn escaped(rest: &mut &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match **rest {
        [b'\\', ref behind @ ..] => {
            *rest = behind;
            Some(b'\\')
        }
        [b'x', high, low, ref behind @ ..] => {
            *rest = behind;
            u8::try_from(digit(high)? * 16 + digit(low)?).ok()
        }
        _ => None,
    }
}

impl TryFrom<String> for Ssid {
    type Error = NoSsid;

    fn try_from(text: String) -> Result<Self, NoSsid> {
        text.parse()
    }
}

impl From<Ssid> for String {
    fn from(ssid: Ssid) -> Self {
        ssid.to_string()
    }
}

impl fmt::Display for NoSsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", Ssid::EXPECTED)
    }
}

impl fmt::Debug for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_text_that_means_it() {
        let cases: &[(&[u8], &str)] = &[
            (b"cafe", "cafe"),
            ("Caf\u{e9} \u{2615}".as_bytes(), "Caf\u{e9} \u{2615}"),
            (b"two  words ", "two  words "),
            (b"it's \"here\"", "it's \"here\""),
            (b"*", "*"),
            (b"a\\x41", "a\\\\x41"),
            (b"caf\xe9", "caf\\xe9"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"a\0b\n\x1b[31m\x7f", "a\\x00b\\x0a\\x1b[31m\\x7f"),
            ("a\u{202e}b".as_bytes(), "a\\xe2\\x80\\xaeb"),
            ("a\u{200b}".as_bytes(), "a\\xe2\\x80\\x8b"),
            ("e\u{301}".as_bytes(), "e\u{301}"),
            ("\u{301}e".as_bytes(), "\\xcc\\x81e"),
            (&[0xc3; 32], &"\\xc3".repeat(32)),
        ];
        for (bytes, text) in cases {
            let ssid = Ssid::new(bytes).expect("a name");
            assert_eq!(ssid.to_string(), *text);
            assert_eq!(text.parse(), Ok(ssid.clone()), "{text}");
            assert_eq!(serde_json::from_value(serde_json::json!(text)).ok(), Some(ssid));
        }
    }

    #[test]
    fn a_byte_may_be_written_by_its_number_however_it_is_shown() {
        assert_eq!("\\x63\\x61f\\xC3\\xa9".parse::<Ssid>(), "ca\u{66}\u{e9}".parse());
    }

    #[test]
    fn what_is_no_name_is_none() {
        for bytes in [&[][..], &[0], &[0; 32], &[b'x'; 33]] {
            assert_eq!(Ssid::new(bytes), None, "{bytes:?}");
        }
        let long = "x".repeat(33);
        let hidden = "\\x00".repeat(3);
        for text in ["", &long, &hidden, "\\", "a\\b", "\\x4", "\\xg0", "\\x+1", "\\x\u{e9}"] {
            assert_eq!(text.parse::<Ssid>(), Err(NoSsid), "{text}");
        }
    }
}
