//! When a client stops: after a time, or when it is told to.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a client goes on.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Length {
    /// How long to go on.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Stop earlier when standard input ends.
    #[arg(long)]
    until_told: bool,
}

/// The end of a run, seen from within it.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    at: Instant,
    told: Arc<AtomicBool>,
}

impl Length {
    /// Starts the clock, and the thread that listens for the end of standard input.
    pub(crate) fn start(&self) -> Ending {
        let told = Arc::new(AtomicBool::new(false));
        if self.until_told {
            let told = Arc::clone(&told);
            std::thread::spawn(move || {
                let mut buffer = [0_u8; 64];
                while matches!(std::io::stdin().read(&mut buffer), Ok(1..)) {}
                told.store(true, Ordering::Relaxed);
            });
        }
        Ending { at: Instant::now() + Duration::from_secs_f64(self.seconds), told }
    }
}

impl Ending {
    /// Whether to stop.
    pub(crate) fn reached(&self) -> bool {
        self.told.load(Ordering::Relaxed) || Instant::now() >= self.at
    }

    /// When the run ends at the latest.
    pub(crate) fn at_the_latest(&self) -> Instant {
        self.at
    }
}
