//! Log lines of keeper and worker go to standard error, where a service
//! manager or a person finds them.

use tracing_subscriber::EnvFilter;

use crate::output;

/// Starts logging: level `info`, or what the environment variable `SEAWALL_LOG` says.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("SEAWALL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Refused only where a logger was set already, and then that one is good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::is_stderr_colored())
        .try_init();
}
