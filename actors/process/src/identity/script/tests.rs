use super::*;

fn found(program: &str, command_line: &str) -> Option<String> {
    let arguments: Vec<String> = command_line.split(' ').map(str::to_owned).collect();
    script_of(program, &arguments, Some("/w")).map(|script| match script {
        Script::File(path) => path,
        Script::PythonModule(module) => format!("-m {module}"),
    })
}

#[test]
fn scripts_are_found_behind_options() {
    let cases = [
        // Python.
        ("/usr/bin/python3.11", "python3 x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "/usr/bin/python3 -u /opt/x.py -v --y", "/opt/x.py"),
        ("/usr/bin/python3.11", "python3 -W ignore -X dev x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "python3 -Wignore -Xdev -bB x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "python3 -uWignore x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "python3 -uW ignore x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "python3 -m http.server 80", "-m http.server"),
        ("/usr/bin/python3.11", "python3 -um pip install x", "-m pip"),
        ("/usr/bin/python3.11", "python3 -mpip x", "-m pip"),
        ("/usr/bin/python3.11", "python3 -c pass x.py", ""),
        ("/usr/bin/python3.11", "python3 -m ../x", ""),
        ("/usr/bin/python3.11", "python3 -m", ""),
        ("/usr/bin/python3.11", "python3 -z x.py", ""),
        ("/usr/bin/python3.11", "python3 --help-all x.py", ""),
        ("/usr/bin/python3.11", "python3 --check-hash-based-pycs always x.py", "/w/x.py"),
        ("/usr/bin/python3.11", "python3 - x.py", ""),
        ("/usr/bin/python3.11", "python3", ""),
        ("/usr/bin/python3.11", "python3 ", ""),
        ("/usr/bin/python2.7", "python2 -- x.py", "/w/x.py"),
        ("/opt/pypy/bin/pypy3.10", "pypy3 -O x.py", "/w/x.py"),
        // What called it says nothing.
        ("/usr/bin/python3.11", "firefox x.py", "/w/x.py"),
        // Shells.
        ("/usr/bin/bash", "bash x.sh a", "/w/x.sh"),
        ("/usr/bin/bash", "-bash", ""),
        ("/usr/bin/bash", "bash -eu -o pipefail x.sh", "/w/x.sh"),
        ("/usr/bin/bash", "bash -euo pipefail x.sh", "/w/x.sh"),
        ("/usr/bin/bash", "bash +x --norc --rcfile /etc/rc x.sh", "/w/x.sh"),
        ("/usr/bin/bash", "bash -c x.sh y.sh", ""),
        ("/usr/bin/bash", "bash -lc x.sh", ""),
        ("/usr/bin/bash", "bash -s x.sh", ""),
        ("/usr/bin/bash", "bash -- -x.sh", "/w/-x.sh"),
        ("/usr/bin/dash", "sh -e ./a/../x.sh", "/w/x.sh"),
        ("/usr/bin/zsh", "zsh -f x.zsh", "/w/x.zsh"),
        ("/usr/bin/ksh93", "ksh -o errexit x.ksh", "/w/x.ksh"),
        ("/usr/bin/fish", "fish --no-config -C true x.fish", "/w/x.fish"),
        ("/usr/bin/fish", "fish --command=x x.fish", ""),
        ("/bin/busybox", "sh x.sh", "/w/x.sh"),
        ("/bin/busybox", "/bin/ash -e x.sh", "/w/x.sh"),
        ("/bin/busybox", "wget x.sh", ""),
        // Perl and Ruby.
        ("/usr/bin/perl", "perl -w -T x.pl", "/w/x.pl"),
        ("/usr/bin/perl5.36.0", "perl -I lib -Ilib2 -Mstrict -i.bak x.pl", "/w/x.pl"),
        ("/usr/bin/perl", "perl -0777 -ne print x.pl", ""),
        ("/usr/bin/perl", "perl -lane print x.pl", ""),
        ("/usr/bin/perl", "perl -l012 -00 -l x.pl", "/w/x.pl"),
        ("/usr/bin/perl", "perl -0777ne print x.pl", ""),
        ("/usr/bin/ruby", "ruby -W:no-deprecated -W2w x.rb", "/w/x.rb"),
        ("/usr/bin/ruby", "ruby -lne puts x.rb", ""),
        ("/usr/bin/bash", "bash -oe pipefail x.sh", ""),
        ("/usr/bin/bash", "bash - x.sh", ""),
        ("/usr/bin/bash", "bash +", ""),
        ("/usr/bin/deno", "deno x.ts", ""),
        ("/usr/bin/perl", "perl -e print x.pl", ""),
        ("/usr/bin/perl", "perl -wE print x.pl", ""),
        ("/usr/bin/ruby3.1", "ruby -W0 -Ilib -r set --disable=gems x.rb", "/w/x.rb"),
        ("/usr/bin/ruby", "ruby -e puts x.rb", ""),
        // JavaScript.
        ("/usr/bin/node", "node x.js --port 80", "/w/x.js"),
        ("/usr/bin/node", "node --require x y.js", "/w/y.js"),
        ("/usr/bin/node", "node -r x --max-old-space-size=4096 --no-warnings y.js", "/w/y.js"),
        ("/usr/bin/nodejs", "nodejs --inspect=0.0.0.0:9229 y.js", "/w/y.js"),
        ("/usr/bin/node", "node -e 1 y.js", ""),
        ("/usr/bin/node", "node --eval=1 y.js", ""),
        ("/usr/bin/node", "node --some-new-option y.js", ""),
        ("/usr/bin/deno", "deno run -A --allow-net=a.b x.ts", "/w/x.ts"),
        ("/usr/bin/deno", "deno run --config d.json x.ts", "/w/x.ts"),
        ("/usr/bin/deno", "deno run https://example.org/x.ts", ""),
        ("/usr/bin/deno", "deno test x.ts", ""),
        ("/usr/bin/bun", "bun run --watch x.ts", "/w/x.ts"),
        ("/usr/bin/bun", "bun x.ts", "/w/x.ts"),
        // PHP and Lua.
        ("/usr/bin/php8.2", "php -d memory_limit=1G -n x.php", "/w/x.php"),
        ("/usr/bin/php8.2", "php -f x.php y", "/w/x.php"),
        ("/usr/bin/php8.2", "php -r echo x.php", ""),
        ("/usr/bin/php8.2", "php -S localhost:80 x.php", ""),
        ("/usr/bin/php8.2", "php -- x.php", ""),
        ("/usr/bin/lua5.4", "lua -l m -e x=1 x.lua", "/w/x.lua"),
        ("/usr/bin/luajit", "luajit -O3 -joff x.lua", "/w/x.lua"),
        // Java, Mono and .NET.
        ("/usr/lib/jvm/java-17/bin/java", "java -Xmx1g -cp a.jar -jar b.jar c.jar", "/w/b.jar"),
        (
            "/usr/bin/java",
            "java -Da=b -javaagent:x.jar --add-opens a/b=c -jar /opt/b.jar",
            "/opt/b.jar",
        ),
        ("/usr/bin/java", "java --add-opens=a/b=c -ea:x -server -jar b.jar", "/w/b.jar"),
        ("/usr/bin/java", "java -cp a.jar org.example.Main -jar b.jar", ""),
        ("/usr/bin/java", "java @file -jar b.jar", ""),
        ("/usr/bin/java", "java --module=m -jar b.jar", ""),
        ("/usr/bin/java", "java -version", ""),
        ("/usr/bin/mono-sgen", "mono --debug --config c.xml x.exe", "/w/x.exe"),
        ("/usr/bin/mono", "mono x", ""),
        ("/usr/bin/dotnet", "dotnet app.dll --urls x", "/w/app.dll"),
        ("/usr/bin/dotnet", "dotnet exec --roll-forward Major app.dll", "/w/app.dll"),
        ("/usr/bin/dotnet", "dotnet run", ""),
        // No interpreters.
        ("/usr/bin/curl", "curl x.sh", ""),
        ("/usr/bin/python3-config", "python3-config x.py", ""),
        ("/usr/bin/env", "env python3 x.py", ""),
    ];
    for (program, command_line, expected) in cases {
        let found = found(program, command_line).unwrap_or_default();
        assert_eq!(found, expected, "{program}: {command_line}");
    }
}

#[test]
fn paths_begin_in_the_working_directory() {
    let cases = [
        ("x", Some("/a/b"), Some("/a/b/x")),
        ("../x", Some("/a/b"), Some("/a/x")),
        ("../../../x", Some("/a/b"), Some("/x")),
        (".//./x", Some("/"), Some("/x")),
        ("/c//d/../x", None, Some("/c/x")),
        ("x", None, None),
        ("x", Some("(unreachable)/a"), None),
    ];
    for (word, folder, expected) in cases {
        let arguments = ["python3".to_owned(), word.to_owned()];
        let expected = expected.map(|path| Script::File(path.to_owned()));
        assert_eq!(script_of("/usr/bin/python3", &arguments, folder), expected, "{word}");
    }
}

#[test]
fn only_interpreters_that_root_installed_are_believed() {
    let facts = |exe: &str| Facts {
        exe: exe.to_owned(),
        place: Place::Host,
        has_our_root: true,
        in_our_user_namespace: true,
        is_kernel_thread: false,
        arguments: ["python3", "/usr/bin/meld"].map(str::to_owned).to_vec(),
        arguments_cut: false,
        working_directory: None,
        cgroup: String::new(),
        environment: Default::default(),
    };
    let good = facts("/usr/bin/python3.11");
    assert!(script_of_process(&good).is_some());
    assert!(script_of_process(&Facts { place: Place::HostFile, ..good.clone() }).is_some());
    for bad in [
        facts("/home/u/bin/python3"),
        facts("/tmp/python3"),
        facts("/memfd:python3"),
        Facts { place: Place::Foreign, ..good.clone() },
        Facts { has_our_root: false, ..good.clone() },
        Facts { arguments_cut: true, ..good.clone() },
        Facts { arguments: Vec::new(), ..good.clone() },
        Facts { arguments: Vec::new(), arguments_cut: true, ..good.clone() },
    ] {
        assert_eq!(script_of_process(&bad), None, "{bad:?}");
    }
}
