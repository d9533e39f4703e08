//! The conversation between `seawall upgrade` and the keeper: lines of JSON
//! over a Unix socket in the run folder, which only root may open.
//!
//! The two may be of different versions, in both directions: fields and
//! variants are only ever added, and what is not known is an error to neither.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The keeper's socket in the run folder.
pub const KEEPER_SOCKET: &str = "keeper.sock";

/// The longest line.
pub const MAX_LINE_BYTES: usize = 4096;

/// From `seawall upgrade`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Request {
    /// Put the program that is installed now in the place of the running one.
    Upgrade,
    /// The new worker does well: the keeper may follow.
    Accept,
    /// It does not, for this reason: take the old one back.
    Refuse {
        /// For people.
        reason: String,
    },
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

/// From the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Report {
    /// First line: who this is.
    Keeper {
        /// Its version.
        version: String,
        /// The file that an upgrade starts.
        installed: PathBuf,
    },
    /// Nothing was changed, for this reason.
    Refused {
        /// For people.
        reason: String,
    },
    /// A worker of the new program was started.
    Trying,
    /// It judges packets. Answered by `Accept` or `Refuse`.
    Judges,
    /// The old program is back, for this reason.
    RolledBack {
        /// For people.
        reason: String,
    },
    /// The new program is keeper and worker.
    Upgraded {
        /// Its version.
        version: String,
    },
    /// Something that a later version says.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_they_were_promised() {
        let cases = [
            (r#"{"say":"upgrade"}"#, Request::Upgrade),
            (r#"{"say":"accept"}"#, Request::Accept),
            (
                r#"{"say":"refuse","reason":"it coughs"}"#,
                Request::Refuse { reason: "it coughs".to_owned() },
            ),
            (r#"{"say":"sing"}"#, Request::Unknown),
        ];
        for (line, expected) in cases {
            let read: Request = serde_json::from_str(line).expect(line);
            assert_eq!(read, expected, "{line}");
            if read != Request::Unknown {
                assert_eq!(serde_json::to_string(&read).expect("plain data"), line);
            }
        }
        let later = r#"{"say":"keeper","version":"9.0.0","installed":"/usr/bin/seawall","mood":1}"#;
        let read: Report = serde_json::from_str(later).expect("fields may be added");
        assert!(matches!(read, Report::Keeper { version, .. } if version == "9.0.0"));
    }
}
