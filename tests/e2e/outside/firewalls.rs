//! ufw and firewalld, the programs themselves, beside Seawall: switched on,
//! loaded again, switched off. They run in the network namespace of `desk` and
//! in a mount namespace of their own, so that the machine keeps its rules and its settings.

use std::time::Duration;

use lab::{MountNamespace, Running, run_ok, until};

use super::scene::{MENDED, Scene, Strictness, survives};

/// A bus for firewalld alone.
const BUS: &str = "<busconfig><type>system</type><listen>unix:path=/run/bus</listen>\
    <auth>EXTERNAL</auth><policy context=\"default\"><allow own=\"*\"/><allow eavesdrop=\"true\"/>\
    <allow send_destination=\"*\" eavesdrop=\"true\"/></policy></busconfig>\n";
const BUS_ADDRESS: &str = "unix:path=/run/bus";
/// firewalld is written in Python, and takes its time.
const STARTS: Duration = Duration::from_secs(180);

/// The programs called `iptables` are those of Seawall's own back-end, as an administrator would choose them.
fn choose_iptables(mounts: &MountNamespace<'_>, backend: &str) {
    let flavour = if backend == "iptables-legacy" { "legacy" } else { "nft" };
    for command in ["iptables", "ip6tables"] {
        for suffix in ["", "-save", "-restore"] {
            let program = format!("/usr/sbin/{command}-{flavour}{suffix}");
            mounts.run("ln", &["-sf", &program, &format!("/usr/sbin/{command}{suffix}")]);
        }
    }
}

#[test]
fn ufw_is_switched_on_and_off() {
    survives(Strictness::Always, |scene: &mut Scene<'_>| {
        let mounts = MountNamespace::on(&scene.world.desk);
        choose_iptables(&mounts, scene.backend);
        // As its package does when it is installed.
        mounts.run("cp", &["/usr/share/ufw/ufw.conf", "/etc/ufw/"]);
        mounts.run("sh", &["-ec", "cp /usr/share/ufw/iptables/*.rules /etc/ufw/"]);
        let ufw = |arguments: &[&str]| mounts.run("ufw", arguments);
        // It lets pass what the lab's traffic needs, what Seawall forbids included.
        ufw(&["default", "allow", "routed"]);
        ufw(&["allow", "7000:7999/tcp"]);
        ufw(&["allow", "7000:7999/udp"]);
        ufw(&["--force", "enable"]);
        scene.goes_on("with ufw");
        ufw(&["allow", "9000/tcp"]);
        ufw(&["reload"]);
        scene.goes_on("after ufw loaded its rules again");
        let rules = ufw(&["status"]);
        scene.check(rules.contains("9000"), "ufw works");
        ufw(&["disable"]);
        scene.goes_on("without ufw");
    });
}

/// A running firewalld with its bus.
struct Firewalld<'a> {
    mounts: MountNamespace<'a>,
    daemon: Running,
    _bus: Running,
}

impl<'a> Firewalld<'a> {
    fn start(scene: &Scene<'a>, kernel_side: &str) -> Self {
        let mounts = MountNamespace::on(&scene.world.desk);
        choose_iptables(&mounts, scene.backend);
        mounts.write("/run/bus.conf", BUS);
        let settings = format!(
            "s/^DefaultZone=.*/DefaultZone=trusted/; s/^FirewallBackend=.*/FirewallBackend={kernel_side}/"
        );
        mounts.run("sed", &["-i", &settings, "/etc/firewalld/firewalld.conf"]);
        let mut bus = mounts.command("dbus-daemon");
        bus.args(["--config-file=/run/bus.conf", "--nofork", "--print-address"]);
        let bus = Running::start(&mut bus);
        assert!(bus.line(STARTS).is_some(), "no bus: {}", bus.stderr());
        let mut daemon = mounts.command("firewalld");
        daemon.args(["--nofork", "--nopid"]).env("DBUS_SYSTEM_BUS_ADDRESS", BUS_ADDRESS);
        let daemon = Running::start(&mut daemon);
        let firewalld = Self { mounts, daemon, _bus: bus };
        let mut said = None;
        let runs = until(STARTS, || {
            let state = lab::run(&mut firewalld.command(&["--state"]));
            let runs = state.ok().then_some(());
            said = Some(state);
            runs
        });
        assert!(
            runs.is_some(),
            "{}, {kernel_side}: firewalld doesn't run: {said:?}; it says: {}",
            scene.backend,
            firewalld.daemon.stderr()
        );
        firewalld
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.mounts.command("firewall-cmd");
        command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", BUS_ADDRESS);
        command
    }

    fn says(&self, arguments: &[&str]) -> String {
        run_ok(&mut self.command(arguments))
    }

    /// Has it load its rules again. Its iptables and ebtables (1.8.9) mix up what they delete when
    /// others change rules in the same moment, as Seawall does when it puts its own back; the
    /// next try meets them in place.
    fn loads(&self, scene: &Scene<'_>, how: &str) {
        let mut said = None;
        let loaded = until(MENDED * 3, || {
            let tried = lab::run(&mut self.command(&[how]));
            let is_done = tried.ok().then_some(());
            said = Some(tried);
            is_done
        });
        assert!(loaded.is_some(), "{}: firewalld {how}: {said:?}", scene.backend);
    }
}

/// It empties all tables of iptables when it starts, stops and loads its rules again, whatever it
/// writes its own with.
#[test]
fn firewalld_is_started_and_stopped() {
    for kernel_side in ["nftables", "iptables"] {
        survives(Strictness::OnceRulesAreBack, |scene: &mut Scene<'_>| {
            let mut firewalld = Firewalld::start(scene, kernel_side);
            scene.goes_on(&format!("with firewalld on {kernel_side}"));
            firewalld.says(&[
                "--permanent",
                "--zone=trusted",
                "--add-rich-rule",
                "rule family=ipv4 source address=10.77.9.9 drop",
            ]);
            firewalld.loads(scene, "--reload");
            scene.goes_on("after firewalld loaded its rules again");
            firewalld.loads(scene, "--complete-reload");
            scene.goes_on("after firewalld loaded everything again");
            let works = scene.world.desk.filters().contains("10.77.9.9");
            scene.check(works, "firewalld works");
            firewalld.daemon.signal(rustix::process::Signal::TERM);
            let ended = firewalld.daemon.wait(MENDED * 3);
            scene.check(ended.is_some(), "firewalld ends");
            scene.goes_on("without firewalld");
        });
    }
}
