//! Every injected fault does what it says, to actors and to threads.

use std::process::Command;
use std::time::{Duration, Instant};

use seawall_runtime::AskError;
use seawall_runtime::fault::Fault;

use crate::puppet::{Order, Single, spec, status};
use crate::threads::{Job, hasty_fixture};

fn inject(single: &Single, fault: Fault) {
    single.kernel.introspect().inject("puppet", fault).unwrap();
}

fn echo(single: &Single, value: u64) -> Result<u64, AskError> {
    single.ask(|reply| Order::Echo(value, reply))
}

#[test]
fn panics_at_the_nth_message() {
    let single = Single::new();
    inject(&single, Fault::Panic { after: 3 });
    let answers: Vec<_> = (0..4).map(|value| echo(&single, value)).collect();
    assert_eq!(answers, [Ok(0), Ok(1), Err(AskError::Crashed), Ok(3)]);
    assert!(single.last_failure().ends_with("injected fault: panic"));
}

#[test]
fn hangs_pending_and_spinning() {
    for fault in [Fault::HangPending, Fault::HangSpinning] {
        let single = Single::hasty();
        inject(&single, fault);
        assert_eq!(echo(&single, 1), Err(AskError::Crashed));
        assert_eq!(echo(&single, 2), Ok(2));
        assert_eq!(single.status().hangs, 1);
        inject(&single, Fault::Clear);
    }
}

#[test]
fn fails_starts_beginning_with_a_crash() {
    let single = Single::new();
    inject(&single, Fault::FailStart { times: 2 });
    crate::puppet::until("it is back", || single.status().generation == 4);
    single.echo(1);
    assert_eq!(single.last_failure(), "injected fault: the start fails");
}

#[test]
fn slows_messages_down() {
    let single = Single::new();
    inject(&single, Fault::Slow { delay_us: 30_000, messages: 2 });
    for slowed in [true, true] {
        let began = Instant::now();
        single.echo(1);
        assert_eq!(began.elapsed() >= Duration::from_millis(30), slowed);
    }
    let quickest = (0..20).map(|value| {
        let began = Instant::now();
        single.echo(value);
        began.elapsed()
    });
    assert!(quickest.min() < Some(Duration::from_millis(30)), "no longer");
}

#[test]
fn refuses_messages_for_a_while() {
    let single = Single::new();
    inject(&single, Fault::MailboxFull { duration_ms: 60_000 });
    assert_eq!(echo(&single, 1), Err(AskError::Overloaded));
    assert_eq!(single.status().refused, 1);
    inject(&single, Fault::MailboxFull { duration_ms: 0 });
    assert_eq!(echo(&single, 1), Ok(1));
}

#[test]
fn drops_the_same_messages_each_time() {
    let run = || {
        let single = Single::new();
        inject(&single, Fault::DropMessages { per_mille: 500, seed: 42, messages: 20 });
        (0..30).map(|value| echo(&single, value).is_ok()).collect::<Vec<_>>()
    };
    let first = run();
    assert_eq!(first, run());
    let dropped = first[..20].iter().filter(|answered| !**answered).count();
    assert!((5..=15).contains(&dropped), "{dropped} of 20");
    assert!(first[20..].iter().all(|answered| *answered), "in force for twenty messages");
}

#[test]
fn poison_stays_through_restarts_until_it_is_cleared() {
    let single = Single::new();
    inject(&single, Fault::Poison { token: 53 });
    for _ in 0..2 {
        assert_eq!(echo(&single, 53), Err(AskError::Crashed));
        assert_eq!(echo(&single, 80), Ok(80));
    }
    inject(&single, Fault::Clear);
    assert_eq!(echo(&single, 53), Ok(53));
}

#[test]
fn threads_have_faults_too() {
    let crashing = [
        Fault::Panic { after: 1 },
        Fault::HangPending,
        Fault::HangSpinning,
        Fault::FailStart { times: 1 },
        Fault::Poison { token: 7 },
    ];
    for fault in crashing {
        let fixture = hasty_fixture();
        let introspect = fixture.kernel.introspect();
        introspect.inject("worker", fault.clone()).unwrap();
        // Depending on the fault this very question crashes it, or the one before did.
        let _ = fixture.ask(|reply| Job::Echo(7, reply));
        assert_eq!(fixture.ask(|reply| Job::Echo(8, reply)), Ok(8), "{fault:?}");
        assert!(status(&introspect, "worker").restarts >= 1, "{fault:?}");
        introspect.inject("worker", Fault::Clear).unwrap();
        assert_eq!(fixture.ask(|reply| Job::Echo(7, reply)), Ok(7), "{fault:?}");
    }
}

#[test]
fn an_unknown_component_has_no_faults() {
    let single = Single::new();
    let refused = single.kernel.introspect().inject("ghost", Fault::Clear);
    assert_eq!(refused, Err("no component is named ghost".to_owned()));
}

/// Runs itself again with the variable set.
#[test]
fn faults_are_taken_from_the_environment() {
    if std::env::var_os("SEAWALL_FAULTS").is_some() {
        let single = Single::with(spec("puppet", "root"), |_| {});
        assert_eq!(single.status().generation, 3);
        assert_eq!(echo(&single, 7), Err(AskError::Crashed));
        return;
    }
    let faults = r#"[
        {"component": "puppet", "fault": {"fault": "fail_start", "times": 2}},
        {"component": "puppet", "fault": {"fault": "poison", "token": 7}}
    ]"#;
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::faults_are_taken_from_the_environment"])
        .env("SEAWALL_FAULTS", faults)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}
