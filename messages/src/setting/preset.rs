//! Sets of settings that people often want for an app.

use super::{Values, find};

/// Some settings under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// As it is asked for.
    pub name: &'static str,
    /// What it makes of an app, in a line.
    pub doc: &'static str,
    /// Keys, each with words as on a command line.
    settings: &'static [(&'static str, &'static [&'static str])],
}

/// All presets.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "allowed",
        doc: "everything passes, whatever is denied for all",
        settings: &[
            ("default_action", &["permit"]),
            ("block_internet", &["false"]),
            ("block_lan", &["false"]),
            ("block_local", &["false"]),
            ("block_inbound", &["false"]),
            ("outgoing_rules", &["+ *"]),
            ("incoming_rules", &["+ *"]),
        ],
    },
    Preset {
        name: "blocked",
        doc: "nothing passes but what this machine says to itself",
        settings: &[
            ("default_action", &["block"]),
            ("block_internet", &["true"]),
            ("block_lan", &["true"]),
            ("block_inbound", &["true"]),
        ],
    },
    Preset {
        name: "lan-only",
        doc: "the LAN, both ways, and never the Internet",
        settings: &[("block_internet", &["true"]), ("block_lan", &["false"])],
    },
    Preset {
        name: "internet-only",
        doc: "the Internet, and never the LAN; nobody may call it",
        settings: &[("block_lan", &["true"]), ("block_inbound", &["true"])],
    },
    Preset {
        name: "web-only",
        doc: "web pages and nothing else: TCP and UDP to ports 80 and 443",
        settings: &[
            ("default_action", &["block"]),
            ("block_inbound", &["true"]),
            ("outgoing_rules", &["+ * TCP/80", "+ * TCP/443", "+ * UDP/443"]),
        ],
    },
    Preset {
        name: "server",
        doc: "others may call it; it calls nobody",
        settings: &[
            ("block_inbound", &["false"]),
            ("incoming_rules", &["+ *"]),
            ("outgoing_rules", &["- *"]),
        ],
    },
];

impl Preset {
    /// The preset of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// What it says.
    pub fn values(&self) -> Values {
        let value = |(key, words): &(&str, &[&str])| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let value = find(key)?.kind.read(&words).ok()?;
            Some(((*key).to_owned(), value))
        };
        self.settings.iter().filter_map(value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_says_what_is_written_in_it() {
        for preset in PRESETS {
            assert_eq!(preset.values().len(), preset.settings.len(), "{}", preset.name);
            assert_eq!(Preset::find(preset.name), Some(preset));
        }
    }
}
