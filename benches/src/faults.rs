//! What the end-to-end tests noted while they broke every component under
//! load: the bench reports it beside its own figures.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use lab::report::{Connected, Streamed};

/// One row of the fault matrix, as the tests write it.
#[derive(Deserialize)]
struct Noted {
    row: String,
    connected: Connected,
    streamed: Streamed,
}

/// What a fault did to traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FaultRow {
    /// What was broken, and how.
    pub(crate) row: String,
    /// The longest time without progress of a bulk stream.
    pub(crate) longest_gap_ms: f64,
    /// The slowest of the new connections.
    pub(crate) slowest_connection_ms: f64,
    /// Connections that failed.
    pub(crate) failed: u64,
}

/// All rows in a folder of the tests' reports, by file name. None when the
/// tests have not run.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<FaultRow>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "json")) {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let noted: Vec<Noted> = serde_json::from_str(&text)
            .with_context(|| format!("understanding {}", file.display()))?;
        rows.extend(noted.into_iter().map(FaultRow::from));
    }
    Ok(rows)
}

impl From<Noted> for FaultRow {
    fn from(Noted { row, connected, streamed }: Noted) -> Self {
        Self {
            row,
            longest_gap_ms: streamed.longest_gap_us as f64 / 1000.0,
            slowest_connection_ms: connected.time_us.max as f64 / 1000.0,
            failed: connected.failed.total(),
        }
    }
}
