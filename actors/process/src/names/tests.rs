use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::read::{read_bounded, read_folder};
use super::*;
use crate::identity::{Container, Engine};

#[test]
fn names_are_made_of_the_words_in_file_names() {
    let cases = [
        ("nslookup.exe", "Nslookup"),
        ("SystemSettings.exe", "System Settings"),
        ("OneDriveSetup.exe", "One Drive Setup"),
        ("msedge.exe", "Msedge"),
        ("SIHClient.exe", "SIH Client"),
        ("openvpn-gui.exe", "Openvpn Gui"),
        ("portmaster-core_v0-1-2.exe", "Portmaster Core v0-1-2"),
        ("WinStore.App.exe", "Win Store App"),
        (".test-script", "Test Script"),
        ("browser_broker.exe", "Browser Broker"),
        ("VirtualBoxVM", "Virtual Box VM"),
        ("io.elementary.appcenter", "Io Elementary Appcenter"),
        ("Microsoft.WindowsStore", "Microsoft Windows Store"),
        ("curl", "Curl"),
        ("python3.11", "Python3.11"),
        ("apt-listchanges", "Apt Listchanges"),
        ("backup.sh", "Backup"),
        ("gcc-12", "Gcc 12"),
        ("soffice.bin", "Soffice"),
        (".sh", "Sh"),
        ("über-app", "Über App"),
        ("a\u{202e}b\nc", "Abc"),
        ("...", "Unnamed program"),
        ("", "Unnamed program"),
    ];
    for (file_name, expected) in cases {
        assert_eq!(readable(file_name), expected, "{file_name}");
    }
    assert_eq!(readable(&"x".repeat(300)).chars().count(), MAX_NAME_CHARACTERS);
}

#[test]
fn commands_are_read_as_the_specification_says() {
    let cases: [(&str, Option<&[&str]>); 18] = [
        ("firefox %u", Some(&["firefox"])),
        ("/usr/bin/vlc --started-from-file %U", Some(&["/usr/bin/vlc", "--started-from-file"])),
        ("env A=b C=d foo --bar %f", Some(&["foo", "--bar"])),
        ("/usr/bin/env -u X -i foo", Some(&["foo"])),
        ("env -S foo", None),
        ("env A=b", None),
        ("\"/opt/My App/app\" %F", Some(&["/opt/My App/app"])),
        ("\"a \\\\\"b\\\\\" \\\\$c\"", Some(&["a \"b\" $c"])),
        ("a\\sb", Some(&["a", "b"])),
        ("foo 100%% --x=%u", Some(&["foo", "100%", "--x="])),
        ("foo \"\" bar", Some(&["foo", "", "bar"])),
        ("foo %", Some(&["foo"])),
        ("sh -c 'x y'", Some(&["sh", "-c", "'x", "y'"])),
        ("\"foo", None),
        ("foo \\\\", None),
        ("%u", None),
        ("   ", None),
        ("", None),
    ];
    for (value, expected) in cases {
        let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(command_of(value), expected, "{value}");
    }
}

const FIREFOX: &str = "# made for a test
Name=No group
[Desktop Entry]
Type=Application
Name[de]=Feuerfuchs
Name = Firefox
Icon=firefox
Exec=firefox %u
NoDisplay=false

[Desktop Action new]
Name=New window
Exec=firefox --new
";

#[test]
fn desktop_files_are_read() {
    let entry = parse_desktop_file(FIREFOX).expect("it is one");
    let expected = DesktopEntry {
        name: "Firefox".to_owned(),
        icon: Some("firefox".to_owned()),
        command: vec!["firefox".to_owned()],
        ..DesktopEntry::default()
    };
    assert_eq!(entry, expected);
    let packaged =
        FIREFOX.replace("NoDisplay=false", "Hidden=true\nX-Flatpak=a.b.c\nX-SnapInstanceName=s");
    let entry = parse_desktop_file(&packaged).expect("it is one");
    assert_eq!((entry.flatpak.as_deref(), entry.snap.as_deref()), (Some("a.b.c"), Some("s")));
    assert!(entry.is_hidden);
    for broken in [
        FIREFOX.replace("Application", "Link"),
        FIREFOX.replace("Name = Firefox", "Name="),
        FIREFOX.replace("[Desktop Entry]", "[Other]"),
        String::new(),
    ] {
        assert_eq!(parse_desktop_file(&broken), None, "{broken}");
    }
}

fn entry(name: &str, exec: &str) -> DesktopEntry {
    let command = command_of(exec).expect("a command");
    DesktopEntry { name: name.to_owned(), command, ..DesktopEntry::default() }
}

/// A stand-in for PATH, and for one link.
fn resolved(program: &str) -> Vec<String> {
    match program {
        "chrome" => vec!["/usr/bin/chrome".into(), "/opt/google/chrome/google-chrome".into()],
        _ if program.starts_with('/') => vec![program.to_owned()],
        _ => vec![format!("/usr/bin/{program}")],
    }
}

fn name_of<'a>(index: &'a DesktopIndex, path: &str) -> Option<&'a str> {
    index.program(path).map(|label| &*label.name)
}

#[test]
fn programs_are_found_by_path_folder_and_name() {
    let hidden = DesktopEntry { is_hidden: true, ..entry("Hidden", "writer") };
    let entries = [
        hidden,
        entry("Chrome", "chrome %U"),
        entry("Writer with a file", "writer --new"),
        entry("Writer", "writer"),
        entry("Later", "writer"),
        entry("Meld", "python3 /usr/bin/meld"),
        entry("A module", "python3 -m pip"),
        entry("Inline", "sh -c x"),
        entry("Python", "python3"),
        entry("Root", "pkexec gparted"),
        entry("Mine", "/home/u/bin/tool"),
        entry("Runner", "/opt/runner/run"),
    ];
    let index = DesktopIndex::build(entries, resolved);
    let cases = [
        ("/usr/bin/chrome", Some("Chrome")),
        ("/opt/google/chrome/google-chrome", Some("Chrome")),
        ("/opt/google/chrome/chrome", Some("Chrome")),
        ("/opt/google/other/chrome", Some("Chrome")),
        ("/home/u/chrome", None),
        ("/tmp/google/chrome/chrome", None),
        ("/usr/bin/writer", Some("Writer")),
        ("/usr/bin/meld", Some("Meld")),
        ("/usr/bin/python3", Some("Python")),
        ("/usr/bin/sh", None),
        ("/usr/bin/pkexec", None),
        ("/usr/bin/curl", None),
        ("/opt/runner/run", Some("Runner")),
        ("/opt/runner/other", Some("Runner")),
        ("/usr/bin/run", None),
        ("/home/u/bin/tool", Some("Mine")),
        ("/home/u/bin/other", None),
        ("", None),
    ];
    for (path, expected) in cases {
        assert_eq!(name_of(&index, path), expected, "{path}");
    }
}

#[test]
fn a_users_desktop_file_renames_no_program_of_the_system() {
    let users = |entry: DesktopEntry| DesktopEntry { is_users: true, ..entry };
    let snap = DesktopEntry { snap: Some("code".to_owned()), ..entry("Fake", "code") };
    let entries = [
        users(entry("Fake", "curl")),
        users(entry("Fake", "/opt/app/app")),
        users(entry("Fake", "python3 /usr/bin/meld")),
        users(snap),
        users(entry("Own", "/home/u/own/tool")),
        users(entry("Own script", "python3 /home/u/x.py")),
    ];
    let index = DesktopIndex::build(entries, resolved);
    for path in
        ["/usr/bin/curl", "/opt/app/app", "/opt/app/other", "/usr/bin/meld", "/snap/code/1/code"]
    {
        assert_eq!(name_of(&index, path), None, "{path}");
    }
    assert_eq!(index.snap("code"), None);
    assert_eq!(name_of(&index, "/home/u/own/tool"), Some("Own"));
    assert_eq!(name_of(&index, "/home/u/x.py"), Some("Own script"));
}

#[test]
fn folders_of_desktop_files_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    fs::create_dir_all(folder.path().join("kde/deep")).expect("folders");
    write("b.desktop", &FIREFOX.replace("Firefox", "B"));
    write("a.desktop", &FIREFOX.replace("Firefox", "A"));
    write("kde/c.desktop", &FIREFOX.replace("Firefox", "C"));
    write("kde/deep/d.desktop", FIREFOX);
    write("e.txt", FIREFOX);
    write("f.desktop", &" ".repeat(65 * 1024));
    fs::create_dir(folder.path().join("g.desktop")).expect("a folder");
    let mut entries = Vec::new();
    read_folder(folder.path(), 2, &mut entries);
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert!(read_desktop_files(&[DesktopFolder::Home(folder.path().join("none"))]).is_empty());
}

#[test]
fn what_is_no_file_is_not_read() {
    assert_eq!(read_bounded(Path::new("/dev/zero"), 10), None);
    assert_eq!(read_bounded(Path::new("/"), 10), None);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    fs::write(&path, "1234").expect("a file");
    assert_eq!(read_bounded(&path, 4).as_deref(), Some("1234"));
    assert_eq!(read_bounded(&path, 3), None);
}

#[test]
fn programs_are_looked_up_and_links_followed() {
    let found = resolve("sh");
    let first = found.first().expect("there is a shell");
    let target = fs::canonicalize(first).expect("it leads somewhere");
    assert_eq!(found.last().map(Path::new), Some(target.as_path()));
    for nothing in ["", "no-such-program", "../bin/sh", "/no/such/program", "/usr"] {
        assert!(resolve(nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn containers_are_called_what_their_engine_wrote() {
    let home = tempfile::tempdir().expect("a folder");
    let files = ContainerFiles::of_user(home.path());
    let docker = home.path().join(".local/share/docker/containers/abc");
    let podman = home.path().join(".local/share/containers/storage/overlay-containers");
    let plain = podman.with_file_name("vfs-containers");
    for folder in [&docker, &podman, &plain] {
        fs::create_dir_all(folder).expect("folders");
    }
    fs::write(docker.join("config.v2.json"), r#"{"ID":"abc","Name":"/web"}"#).expect("a file");
    let json = r#"[{"id":"x","names":["no"]},{"id":"abc","names":["db"],"image":"y"}]"#;
    fs::write(podman.join("containers.json"), json).expect("a file");
    let json = r#"[{"id":"def","names":["mail"]}]"#;
    fs::write(plain.join("containers.json"), json).expect("a file");
    let container = |engine, id: &str| Container {
        engine,
        id: Some(id.to_owned()),
        name: None,
        user: Some(1000),
    };
    let cases = [
        (container(Engine::Docker, "abc"), Some("web")),
        (container(Engine::Podman, "abc"), Some("db")),
        (container(Engine::Podman, "def"), Some("mail")),
        (container(Engine::Docker, "other"), None),
        (container(Engine::Podman, "other"), None),
        (container(Engine::Containerd, "abc"), None),
        (Container { id: None, ..container(Engine::Docker, "") }, None),
    ];
    for (container, expected) in cases {
        assert_eq!(container_name(&container, &files).as_deref(), expected, "{container:?}");
    }
    for broken in ["", "{}", r#"{"Name":1}"#, r#"{"Name":"/"}"#, "[", "[{}]"] {
        assert_eq!(docker_name(broken), None, "{broken}");
        assert_eq!(podman_name(broken, "abc"), None, "{broken}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in "(\\PC|[-=%\\\\\"\\[\\]\n._ ]){0,200}") {
        command_of(&text);
        parse_desktop_file(&text);
        parse_desktop_file(&format!("[Desktop Entry]\nType=Application\nName=x\nExec={text}"));
        docker_name(&text);
        podman_name(&text, &text);
        prop_assert!(!readable(&text).is_empty());
    }
}
