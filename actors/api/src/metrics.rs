//! Keeps every counter, gauge and histogram of the process, for Prometheus.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of every duration, in seconds: from a verdict
/// (tens of microseconds) to the parked deadline.
const SECONDS: [f64; 16] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.5, 1.0, 5.0,
];

/// The recorder's handle.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Why metrics can't be kept.
#[derive(Debug, thiserror::Error)]
#[error("can't install the metrics recorder: {0}")]
pub struct MetricsError(String);

/// Installs the recorder of this process. Once, before anything is counted.
pub fn install() -> Result<Metrics, MetricsError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| MetricsError(error.to_string()))?;
    Ok(Metrics { handle })
}

fn recorder() -> Result<metrics_exporter_prometheus::PrometheusRecorder, MetricsError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(|error| MetricsError(error.to_string()))?;
    Ok(builder.build_recorder())
}

impl Metrics {
    /// Everything as Prometheus text.
    pub(crate) fn render(&self) -> String {
        self.handle.render()
    }

    /// Puts samples into their buckets, so that they take no more room.
    pub(crate) fn tidy(&self) {
        self.handle.run_upkeep();
    }

    /// A recorder that is not the process's: for tests.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self { handle: recorder().expect("good buckets").handle() }
    }
}
