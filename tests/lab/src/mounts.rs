//! A mount namespace for programs of others: they see packages that are not
//! installed here, and what they write to their files is gone with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Finished, Running, run, run_ok};
use crate::world::{Host, needs};

/// How long mounting may take on a loaded machine.
const MOUNTED: Duration = Duration::from_secs(30);

/// Lays the packages over the machine's own files, and what is written over both. Then waits for its
/// end. The lock of iptables stays the machine's: without a lock in common, two programs that write
/// rules undo each other's, policies included.
const MOUNT: &str = r#"
packages=$1 layers=$2
mount -t tmpfs tmpfs "$layers"
for place in etc usr var; do
    mkdir -p "$layers/$place/upper" "$layers/$place/work"
    below=/$place
    [ ! -d "$packages/$place" ] || below=$packages/$place:$below
    mount -t overlay overlay -o "lowerdir=$below,upperdir=$layers/$place/upper,workdir=$layers/$place/work" "/$place"
done
lock=/run/xtables.lock
: >> "$lock"
: > "$layers/lock"
mount --bind "$lock" "$layers/lock"
mount -t tmpfs tmpfs /run
mkdir /run/lock
: > "$lock"
mount --bind "$layers/lock" "$lock"
echo mounted
exec cat
"#;

/// Where `scripts/test` unpacks the packages of other programs. Nothing there is installed.
pub fn packages() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(""));
    let folder = root.join("target/tools/neighbours");
    assert!(
        folder.join("usr").is_dir(),
        "the test needs other programs' packages in {}: scripts/test unpacks them there",
        folder.display()
    );
    folder
}

/// A mount namespace on a host. Ended when dropped, with what was written in it.
#[derive(Debug)]
pub struct MountNamespace<'a> {
    host: &'a Host,
    holder: Running,
    _layers: TempDir,
}

impl<'a> MountNamespace<'a> {
    /// Makes one in which the packages seem to be installed.
    ///
    /// # Panics
    /// When the packages are missing, or the kernel has no overlay file system.
    pub fn on(host: &'a Host) -> Self {
        needs("unshare");
        let layers = TempDir::with_prefix("seawall-mounts-")
            .unwrap_or_else(|error| panic!("can't make a temporary folder: {error}"));
        let mut command = host.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-euc", MOUNT, "sh"]);
        command.arg(packages()).arg(layers.path());
        let holder = Running::start(&mut command);
        assert!(
            holder.line(MOUNTED).is_some_and(|line| line == "mounted"),
            "a mount namespace can't be made: {}",
            holder.stderr()
        );
        Self { host, holder, _layers: layers }
    }

    /// A program that will run in it, on its host.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.pid()))
            .arg(format!("--net=/run/netns/{}", self.host.namespace()))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs a program in it to its end.
    pub fn try_run(&self, program: &str, arguments: &[&str]) -> Finished {
        run(self.command(program).args(arguments))
    }

    /// As [`Self::try_run`]; panics unless it ends well.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        run_ok(self.command(program).args(arguments))
    }

    /// Writes a file as the programs in it will see it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let mut command = self.command("sh");
        command.args(["-ec", "cat > \"$1\"", "sh", path]);
        let finished = crate::process::run_with_input(&mut command, text);
        assert!(finished.ok(), "can't write {path}: {}", finished.stderr);
    }
}
