use proptest::prelude::*;

use super::*;
use crate::names::{DesktopEntry, command_of};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const NIX_HASH: &str = "0c6ap6l8g4yk9xgw9xy1fbm5xgprc1jj";

fn on_host(exe: &str) -> Facts {
    Facts {
        exe: exe.to_owned(),
        place: Place::Host,
        has_our_root: true,
        in_our_user_namespace: true,
        is_kernel_thread: false,
        arguments: vec![exe.to_owned()],
        arguments_cut: false,
        working_directory: Some("/home/ada/work".to_owned()),
        cgroup: "/user.slice/user-1000.slice/session-2.scope".to_owned(),
        environment: Environment::default(),
    }
}

fn foreign(exe: &str, cgroup: &str) -> Facts {
    Facts { place: Place::Foreign, has_our_root: false, cgroup: cgroup.to_owned(), ..on_host(exe) }
}

fn running(exe: &str, command_line: &str) -> Facts {
    let arguments = command_line.split(' ').map(str::to_owned).collect();
    Facts { arguments, ..on_host(exe) }
}

/// All scripts exist, no container has a name, and there are no desktop files.
fn who(facts: &Facts) -> Identity {
    let lookups = Lookups {
        container_name: &|_| None,
        file_exists: &|_| true,
        desktop: &DesktopIndex::default(),
    };
    identify(facts, &lookups)
}

fn expect(facts: &Facts, id: &str, path: &str, name: &str) {
    let found = who(facts);
    let parts = (&*found.app.id, &*found.path, &*found.app.name);
    assert_eq!(parts, (id, path, name), "{facts:?}");
    let kind = found.app.kind.as_str();
    assert!(id == kind || id.starts_with(&format!("{kind}:")), "{id} is of kind {kind}");
}

#[test]
fn programs_are_known_by_their_path() {
    let cases = [
        ("/usr/bin/curl", "path:/usr/bin/curl", "Curl"),
        ("/usr/bin/python3.11", "path:/usr/bin/python3.11", "Python3.11"),
        ("/opt/google/chrome/chrome", "path:/opt/google/chrome/chrome", "Chrome"),
        ("/opt/app-1.2.3/bin/app", "path:/opt/app-*/bin/app", "App"),
        ("/tmp/a b) (c", "path:/tmp/a b) (c", "A B) (c"),
        ("/memfd:payload", "path:memfd:payload", "Payload"),
        ("/memfd:/usr/bin/curl", "path:memfd:/usr/bin/curl", "Curl"),
        ("/tmp/#4711", "path:/tmp/#4711", "#4711"),
    ];
    for (exe, id, name) in cases {
        expect(&on_host(exe), id, exe.strip_prefix("/memfd").map_or(exe, |_| &id[5..]), name);
    }
}

#[test]
fn kernel_threads_and_nobody_have_no_path() {
    expect(&Facts { is_kernel_thread: true, ..on_host("") }, "kernel", "", "Linux kernel");
    expect(&on_host(""), "unidentified", "", "Unidentified");
}

#[test]
fn versions_are_left_out_of_ids() {
    let hash = "e170252f762678dec6ca2cc69aba1570769a5d39";
    let cases = [
        (format!("/home/u/.vscode-server/bin/{hash}/node"), "/home/u/.vscode-server/bin/*/node"),
        (
            format!("/home/u/.vscode-server/cli/servers/Stable-{hash}/server/node"),
            "/home/u/.vscode-server/cli/servers/Stable-*/server/node",
        ),
        (
            "/usr/lib/jvm/java-17-openjdk-amd64/bin/java".into(),
            "/usr/lib/jvm/java-*-openjdk-amd64/bin/java",
        ),
        (
            "/usr/lib/jvm/java-1.17.0-openjdk/bin/java".into(),
            "/usr/lib/jvm/java-*-openjdk/bin/java",
        ),
        ("/usr/lib/jvm/jdk-17.0.2+8/bin/java".into(), "/usr/lib/jvm/jdk-*/bin/java"),
        ("/opt/idea-IU-231.9/bin/idea".into(), "/opt/idea-IU-*/bin/idea"),
        (
            "/home/u/.nvm/versions/node/v18.17.0/bin/node".into(),
            "/home/u/.nvm/versions/node/*/bin/node",
        ),
        ("/opt/node-v18.17.0-linux-x64/bin/node".into(), "/opt/node-*-linux-x64/bin/node"),
        ("/home/u/.local/share/tool/versions/2.1.3".into(), "/home/u/.local/share/tool/versions/*"),
        ("/opt/app_2.0rc1/app".into(), "/opt/app_*/app"),
        // Not clearly a version.
        ("/usr/bin/python3.11".into(), "/usr/bin/python3.11"),
        ("/usr/lib/python3.11/x".into(), "/usr/lib/python3.11/x"),
        ("/usr/lib/x86_64-linux-gnu/x".into(), "/usr/lib/x86_64-linux-gnu/x"),
        ("/opt/slot-3/app".into(), "/opt/slot-3/app"),
        ("/home/1.2/bin/app".into(), "/home/1.2/bin/app"),
        ("/opt/deadbeef/app".into(), "/opt/deadbeef/app"),
        ("/opt/app-1.x/app".into(), "/opt/app-1.x/app"),
        ("/opt/web-example.org/app".into(), "/opt/web-example.org/app"),
        ("/usr/bin/gcc-12.2".into(), "/usr/bin/gcc-12.2"),
        ("".into(), ""),
    ];
    for (path, expected) in &cases {
        assert_eq!(without_version(path), *expected);
    }
}

#[test]
fn packages_are_known_by_their_name() {
    let scope = "/user.slice/user-1000.slice/user@1000.service/app.slice";
    let snap_cgroup = format!("{scope}/snap.firefox.firefox-6dd2.scope");
    let in_snap = |exe: &str| foreign(exe, &snap_cgroup);
    let flatpak_cgroup = format!("{scope}/app-flatpak-org.mozilla.firefox-4711.scope");
    let environment = Environment {
        snap: Some("/snap/code/5".to_owned()),
        snap_name: Some("code".to_owned()),
        ..Environment::default()
    };
    let flatpak =
        Environment { flatpak_id: Some("org.gnome.Maps".to_owned()), ..Environment::default() };
    let firefox = "/snap/firefox/4173/usr/lib/firefox/firefox";
    let cases = [
        (on_host(firefox), "snap:firefox", firefox, "Firefox"),
        (Facts { place: Place::HostFile, ..in_snap(firefox) }, "snap:firefox", firefox, "Firefox"),
        (
            on_host("/var/lib/snapd/snap/code_x/12/code"),
            "snap:code_x",
            "/var/lib/snapd/snap/code_x/12/code",
            "Code X",
        ),
        (
            in_snap("/usr/bin/python3.10"),
            "snap:firefox",
            "snap:firefox:/usr/bin/python3.10",
            "Firefox",
        ),
        (
            in_snap("/snap/core22/1/usr/bin/sh"),
            "snap:firefox",
            "snap:firefox:/snap/core22/1/usr/bin/sh",
            "Firefox",
        ),
        (
            on_host("/snap/snapd/1/usr/lib/snapd/snapd"),
            "snap:snapd",
            "/snap/snapd/1/usr/lib/snapd/snapd",
            "Snapd",
        ),
        (
            Facts { environment: environment.clone(), ..foreign("/usr/bin/sh", "/x") },
            "snap:code",
            "snap:code:/usr/bin/sh",
            "Code",
        ),
        (
            on_host("/snap/gnome-maps/1/maps"),
            "snap:gnome-maps",
            "/snap/gnome-maps/1/maps",
            "Gnome Maps",
        ),
        // What a classic snap starts is the host's.
        (
            Facts {
                cgroup: snap_cgroup.clone(),
                environment: environment.clone(),
                ..on_host("/usr/bin/curl")
            },
            "path:/usr/bin/curl",
            "/usr/bin/curl",
            "Curl",
        ),
        // snapd makes no user namespaces.
        (
            Facts { in_our_user_namespace: false, ..in_snap(firefox) },
            "container:unknown:/snap/firefox/4173/usr/lib/firefox/firefox",
            "unknown:/snap/firefox/4173/usr/lib/firefox/firefox",
            "firefox (unknown container)",
        ),
        (
            foreign("/app/bin/firefox", &flatpak_cgroup),
            "flatpak:org.mozilla.firefox",
            "flatpak:org.mozilla.firefox:/app/bin/firefox",
            "Firefox",
        ),
        (
            foreign("/newroot/app/bin/firefox", &flatpak_cgroup),
            "flatpak:org.mozilla.firefox",
            "flatpak:org.mozilla.firefox:/app/bin/firefox",
            "Firefox",
        ),
        (
            foreign("/usr/bin/python3", &flatpak_cgroup.replace('.', "\\x2e")),
            "container:unknown:/usr/bin/python3",
            "unknown:/usr/bin/python3",
            "python3 (unknown container)",
        ),
        (
            foreign("/usr/bin/python3", &flatpak_cgroup.replace("org.mozilla", "org.my\\x2dorg")),
            "flatpak:org.my-org.firefox",
            "flatpak:org.my-org.firefox:/usr/bin/python3",
            "Firefox",
        ),
        (
            Facts { environment: flatpak.clone(), ..foreign("/app/bin/maps", "/x") },
            "flatpak:org.gnome.Maps",
            "flatpak:org.gnome.Maps:/app/bin/maps",
            "Maps",
        ),
        (
            Facts { environment: flatpak.clone(), ..on_host("/app/bin/maps") },
            "path:/app/bin/maps",
            "/app/bin/maps",
            "Maps",
        ),
        (
            Facts { environment: flatpak, ..foreign("/usr/bin/maps", "/x") },
            "container:unknown:/usr/bin/maps",
            "unknown:/usr/bin/maps",
            "maps (unknown container)",
        ),
    ];
    for (facts, id, path, name) in &cases {
        expect(facts, id, path, name);
    }
}

#[test]
fn images_are_known_by_their_file() {
    let exe = "/tmp/.mount_Obsidi4fGh7K/obsidian";
    let mount = "/tmp/.mount_Obsidi4fGh7K";
    let with = |image: &str, mount: &str| Facts {
        environment: Environment {
            app_image: Some(image.to_owned()),
            app_directory: Some(mount.to_owned()),
            ..Environment::default()
        },
        ..on_host(exe)
    };
    let cases = [
        (with("/home/u/Obsidian-1.5.3.AppImage", mount), "/home/u/Obsidian-*.AppImage", "Obsidian"),
        (
            with("/home/u/etcher-1.18.11-x64.AppImage", mount),
            "/home/u/etcher-*-x64.AppImage",
            "Etcher",
        ),
        (with("/home/u/../a/Krita.AppImage", mount), "/home/a/Krita.AppImage", "Krita"),
        (with("/home/u/app", mount), "/home/u/app", "App"),
        // Neither a mount point of its own nor a path.
        (with("/usr/bin/curl", "/tmp"), "Obsidi", "Obsidi"),
        (with("curl", mount), "Obsidi", "Obsidi"),
        (on_host(exe), "Obsidi", "Obsidi"),
    ];
    for (facts, id, name) in &cases {
        expect(facts, &format!("app_image:{id}"), exe, name);
    }
    let short = "/tmp/.mount_abc/x";
    expect(&on_host(short), "path:/tmp/.mount_abc/x", short, "X");
}

#[test]
fn packages_of_nix_have_neither_hash_nor_version() {
    let cases = [
        ("firefox-121.0/bin/.firefox-wrapped", "nix:firefox"),
        ("curl-8.4.0-bin/bin/curl", "nix:curl"),
        ("gnome-maps-45.1/bin/gnome-maps", "nix:gnome-maps"),
        ("python3-3.11.6/bin/python3.11", "nix:python3"),
        ("tool/bin/tool", "nix:tool"),
        ("qt6-base-unstable-2024-01-02/bin/x", "nix:qt6-base-unstable"),
    ];
    for (rest, id) in cases {
        let exe = format!("/nix/store/{NIX_HASH}-{rest}");
        let found = who(&on_host(&exe));
        assert_eq!((&*found.app.id, &*found.path), (id, exe.as_str()));
    }
    for exe in ["/nix/store/short-curl-1.0/bin/curl", "/nix/store/x"] {
        assert_eq!(who(&on_host(exe)).app.kind, AppKind::Path, "{exe}");
    }
    let interpreter = format!("/nix/store/{NIX_HASH}-python3-3.11.6/bin/python3.11");
    let script = format!("python3 /nix/store/{NIX_HASH}-meld-3.22/bin/.meld-wrapped");
    assert_eq!(&*who(&running(&interpreter, &script)).app.id, "nix:meld");
    assert_eq!(&*who(&running(&interpreter, "python3 x.py")).app.id, "script:/home/ada/work/x.py");
}

#[test]
fn containers_are_known_by_their_control_group() {
    let short = "0123456789ab";
    let pod = "kubepods.slice/kubepods-pod1.slice";
    let cases = [
        (format!("/system.slice/docker-{ID}.scope"), format!("docker/{short}")),
        (format!("/docker/{ID}"), format!("docker/{short}")),
        (format!("/docker/{ID}/init.scope"), format!("docker/{short}")),
        (format!("/ecs/task/docker/{ID}"), format!("docker/{short}")),
        // A container in a container is the outer one's business.
        (format!("/docker/{ID}/docker/{}", ID.replace('0', "f")), format!("docker/{short}")),
        (format!("/docker/{ID}/lxc.payload.web"), format!("docker/{short}")),
        (
            format!("/user.slice/user-1000.slice/user@1000.service/app.slice/docker-{ID}.scope"),
            format!("docker@1000/{short}"),
        ),
        (format!("/machine.slice/libpod-{ID}.scope/container"), format!("podman/{short}")),
        (
            format!("/user.slice/user-7.slice/user@7.service/user.slice/libpod-{ID}.scope"),
            format!("podman@7/{short}"),
        ),
        (format!("/libpod_parent/libpod-{ID}"), format!("podman/{short}")),
        (format!("/{pod}/cri-containerd-{ID}.scope"), format!("containerd/{short}")),
        (
            format!("/system.slice/containerd.service/{pod}:cri-containerd:{ID}"),
            format!("containerd/{short}"),
        ),
        (format!("/{pod}/crio-{ID}.scope"), format!("crio/{short}")),
        (format!("/kubepods/besteffort/pod1/{ID}"), format!("kubernetes/{short}")),
        (format!("/system.slice/nerdctl-{ID}.scope"), format!("containerd/{short}")),
        ("/lxc.payload.web/system.slice/x.service".to_owned(), "lxc/web".to_owned()),
        ("/lxc/web".to_owned(), "lxc/web".to_owned()),
        ("/machine.slice/machine-my\\x2dbox.scope/payload".to_owned(), "nspawn/my-box".to_owned()),
        (
            "/machine.slice/systemd-nspawn@my\\x2dbox.service/payload".to_owned(),
            "nspawn/my-box".to_owned(),
        ),
        ("/machine.slice/machine-lxc\\x2d12\\x2dweb.scope".to_owned(), "lxc/web".to_owned()),
        ("/machine.slice/machine-a\\x2fb:c.scope".to_owned(), "nspawn/a_b_c".to_owned()),
        ("/lxc.monitor.web".to_owned(), "unknown".to_owned()),
        ("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope".to_owned(), "unknown".to_owned()),
        (format!("/machine.slice/libpod-conmon-{ID}.scope"), "unknown".to_owned()),
        (format!("/other/{ID}"), "unknown".to_owned()),
        ("/docker/0123".to_owned(), "unknown".to_owned()),
        ("/".to_owned(), "unknown".to_owned()),
        (String::new(), "unknown".to_owned()),
    ];
    for (cgroup, place) in &cases {
        let name = match place.split_once('/') {
            Some((engine, name)) => format!("curl ({engine} {name})"),
            None => format!("curl ({place} container)"),
        };
        let path = format!("{}:/usr/bin/curl", place.replace('/', ":"));
        let id = format!("container:{place}:/usr/bin/curl");
        expect(&foreign("/usr/bin/curl", cgroup), &id, &path, &name);
    }
}

#[test]
fn containers_have_the_name_that_is_looked_up() {
    let facts = foreign("/usr/bin/curl", &format!("/docker/{ID}"));
    let named = |name: &'static str| {
        let lookups = Lookups {
            container_name: &move |container| {
                assert_eq!(container.id.as_deref(), Some(ID));
                Some(name.to_owned())
            },
            file_exists: &|_| true,
            desktop: &DesktopIndex::default(),
        };
        identify(&facts, &lookups).app.id.to_string()
    };
    assert_eq!(named("web-1"), "container:docker/web-1:/usr/bin/curl");
    for odd in ["", "a:b", "a/b", "a b"] {
        assert_eq!(named(odd), "container:docker/0123456789ab:/usr/bin/curl", "{odd}");
    }
}

#[test]
fn a_file_of_the_host_has_the_hosts_path_wherever_it_is_seen() {
    let one = Some(FileId { device: 1, inode: 2 });
    let other = Some(FileId { device: 1, inode: 3 });
    let cases = [
        (true, one, None, Place::Host),
        (true, None, None, Place::Host),
        (false, one, one, Place::HostFile),
        (false, one, other, Place::Foreign),
        (false, one, None, Place::Foreign),
        (false, None, None, Place::Foreign),
    ];
    for (is_ours, file, host_file, expected) in cases {
        assert_eq!(Place::of(is_ours, file, host_file), expected);
    }
    let private = Facts { place: Place::HostFile, ..on_host("/usr/bin/curl") };
    expect(&private, "path:/usr/bin/curl", "/usr/bin/curl", "Curl");
    let docker = format!("/docker/{ID}");
    let mounted = Facts { place: Place::HostFile, ..foreign("/usr/bin/curl", &docker) };
    let id = "container:docker/0123456789ab:/usr/bin/curl";
    expect(&mounted, id, "/usr/bin/curl", "curl (docker 0123456789ab)");
    // The engine's own helper, moved there before it starts the program.
    let helper = Facts { cgroup: docker, ..on_host("/usr/bin/runc") };
    expect(&helper, "path:/usr/bin/runc", "/usr/bin/runc", "Runc");
}

#[test]
fn services_whose_file_was_updated_under_them_keep_their_path() {
    let process = ProcessFacts {
        pid: 7,
        parent_pid: 1,
        started_ticks: 1,
        uid: 0,
        comm: "timesyncd".to_owned(),
        exe: Some("/usr/lib/systemd/systemd-timesyncd".to_owned()),
        deleted: true,
        exe_file: Some(FileId { device: 1, inode: 2 }),
        in_our_mount_namespace: false,
        in_our_user_namespace: true,
        has_our_root: true,
        network_namespace: None,
        command_line: Vec::new(),
        command_line_cut: false,
        working_directory: None,
        environment: Environment::default(),
        cgroup: "/system.slice/systemd-timesyncd.service".to_owned(),
        is_kernel_thread: false,
    };
    let place = |process: &ProcessFacts| Facts::of_process(process, None).place;
    assert_eq!(place(&process), Place::HostFile);
    for other in [
        ProcessFacts { deleted: false, ..process.clone() },
        ProcessFacts { in_our_user_namespace: false, ..process.clone() },
        ProcessFacts { has_our_root: false, ..process.clone() },
    ] {
        assert_eq!(place(&other), Place::Foreign);
    }
}

#[test]
fn units_are_the_outermost_ones() {
    let cases = [
        ("/system.slice/ssh.service", Some("ssh.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
        ("/system.slice/a.service/b.service", Some("a.service")),
        ("/user.slice/user-1000.slice/session-2.scope", Some("session-2.scope")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.kde.dolphin@1.service",
            Some("app-org.kde.dolphin@1.service"),
        ),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope")),
        ("/user.slice/user-1000.slice/user@1000.service", Some("user@1000.service")),
        ("/docker/1", None),
        ("/", None),
        ("", None),
    ];
    for (cgroup, expected) in cases {
        let facts = Facts { cgroup: cgroup.to_owned(), ..on_host("/usr/bin/x") };
        assert_eq!(who(&facts).unit.as_deref(), expected, "{cgroup}");
    }
}

#[test]
fn noted_processes_have_the_first_of_their_arguments() {
    let noted = Noted {
        exe: "/usr/bin/python3.11".to_owned(),
        exe_file: None,
        arguments: b"python3\0-u\0tool.py\0".to_vec(),
        working_directory: Some("/srv".to_owned()),
        cgroup: "/system.slice/tool.service".to_owned(),
        in_our_mount_namespace: true,
        in_our_user_namespace: true,
        has_our_root: true,
    };
    let id = |noted: &Noted| who(&Facts::of_noted(noted, None)).app.id.to_string();
    assert_eq!(id(&noted), "script:/srv/tool.py");
    // The last word may go on where the kernel stopped.
    let mut long = b"python3\0/srv/".to_vec();
    long.resize(NOTED_ARGUMENT_BYTES, b'x');
    assert_eq!(id(&Noted { arguments: long, ..noted.clone() }), "path:/usr/bin/python3.11");
    let elsewhere = Noted { in_our_mount_namespace: false, ..noted };
    assert_eq!(id(&elsewhere), "container:unknown:/usr/bin/python3.11");
}

#[test]
fn desktop_files_name_apps() {
    let entry = |name: &str, exec: &str| DesktopEntry {
        name: name.to_owned(),
        icon: Some(name.to_lowercase()),
        command: command_of(exec).expect("a command"),
        ..DesktopEntry::default()
    };
    let snap = DesktopEntry { snap: Some("code".to_owned()), ..entry("VS Code", "code") };
    let flatpak =
        DesktopEntry { flatpak: Some("org.x.Maps".to_owned()), ..entry("Maps!", "flatpak run x") };
    let entries = [
        entry("Firefox Web Browser", "firefox %u"),
        entry("Meld", "env A=b python3 /usr/bin/meld %F"),
        entry("Krita", "/home/u/Krita.AppImage"),
        snap,
        flatpak,
    ];
    let desktop = DesktopIndex::build(entries, |program| match program {
        "firefox" => vec!["/usr/bin/firefox".to_owned(), "/usr/lib/firefox/firefox".to_owned()],
        path => vec![path.to_owned()],
    });
    let lookups = Lookups { container_name: &|_| None, file_exists: &|_| true, desktop: &desktop };
    let mut image = on_host("/tmp/.mount_Kritaabcdef/krita");
    image.environment.app_image = Some("/home/u/Krita.AppImage".to_owned());
    image.environment.app_directory = Some("/tmp/.mount_Kritaabcdef".to_owned());
    let flatpak_cgroup = "/user.slice/app-flatpak-org.x.Maps-1.scope";
    let cases = [
        (on_host("/usr/lib/firefox/firefox"), "Firefox Web Browser", true),
        (on_host("/usr/lib/firefox/crashreporter"), "Firefox Web Browser", true),
        (running("/usr/bin/python3.11", "python3 /usr/bin/meld a b"), "Meld", true),
        (on_host("/usr/bin/python3.11"), "Python3.11", false),
        (on_host("/snap/code/1/code"), "VS Code", true),
        (foreign("/app/bin/maps", flatpak_cgroup), "Maps!", true),
        (image, "Krita", true),
        (on_host("/home/u/firefox"), "Firefox", false),
    ];
    for (facts, name, has_icon) in &cases {
        let app = identify(facts, &lookups).app;
        assert_eq!((&*app.name, app.icon.is_some()), (*name, *has_icon), "{facts:?}");
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let text = "[-./:@_a-z0-9\\\\ ]{0,40}";
    let folders = prop::sample::select(vec![
        "",
        "/usr/bin/python3",
        "/snap/",
        "/app/",
        "/tmp/.mount_",
        "/nix/store/",
        "/memfd:",
        "/opt/",
    ]);
    let groups = prop::sample::select(vec![
        "",
        "/docker/",
        "/lxc/",
        "/machine-",
        "/snap.",
        "/app-flatpak-",
        "/user@1.service/",
    ]);
    let places = prop::sample::select(vec![Place::Host, Place::HostFile, Place::Foreign]);
    let arguments = prop::collection::vec("\\PC{0,12}", 0..6);
    (folders, ".{0,40}", groups, text, places, arguments, prop::option::of(".{0,20}")).prop_map(
        |(folder, rest, group, name, place, arguments, other)| Facts {
            place,
            arguments,
            cgroup: format!("{group}{name}"),
            environment: Environment {
                snap: other.clone(),
                flatpak_id: other.clone(),
                app_image: other.clone(),
                app_directory: other.clone(),
                ..Environment::default()
            },
            working_directory: other,
            ..on_host(&format!("{folder}{rest}"))
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_noted_gives_an_answer_and_only_the_hosts_files_have_bare_paths(facts in any_facts()) {
        let found = who(&facts);
        prop_assert_eq!(&found, &who(&facts));
        if facts.place == Place::Foreign && !facts.exe.is_empty() {
            prop_assert!(!found.path.starts_with('/'), "{:?}", found);
        }
        prop_assert!(!found.app.id.is_empty() && !found.app.name.is_empty());
    }
}
