//! What the metrics tell.

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::puppet::{Order, Single, until};

#[test]
fn what_happens_to_a_component_is_counted() {
    let single = Single::new();
    for value in 0..10 {
        single.echo(value);
    }
    single.tell(Order::Panic);
    single.echo(10);
    until("all is counted", || single.status().handled == 11);
    let recorder = PrometheusBuilder::new().build_recorder();
    let introspect = single.kernel.introspect();
    metrics::with_local_recorder(&recorder, || introspect.publish_metrics());
    let text = recorder.handle().render();
    for line in [
        "seawall_component_restarts_total{component=\"puppet\"} 1",
        "seawall_component_hangs_total{component=\"puppet\"} 0",
        "seawall_component_refused_total{component=\"puppet\"} 0",
        "seawall_component_handled_total{component=\"puppet\"} 11",
        "seawall_component_mailbox_depth_messages{component=\"puppet\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in\n{text}");
    }
    for time in ["median", "p99", "longest"] {
        let start = format!("seawall_component_handle_{time}_seconds{{component=\"puppet\"}} ");
        let value = text.lines().find_map(|it| it.strip_prefix(&start)).unwrap();
        let seconds: f64 = value.parse().unwrap();
        assert!(seconds > 0.0 && seconds < 10.0, "{seconds}");
    }
}
