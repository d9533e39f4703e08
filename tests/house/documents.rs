//! What documents name is there.

use std::path::Path;

use crate::source::{files_below, has_extension, read, root};

/// Words of Markdown links: `](here)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn links_between_files_lead_somewhere() {
    let mut followed = 0;
    let mut broken = Vec::new();
    for document in files_below("").into_iter().filter(|path| has_extension(path, "md")) {
        let folder = root().join(&document).parent().map(Path::to_path_buf).unwrap_or_default();
        let text = read(&document);
        let inside = |link: &&str| !link.contains("://") && !link.starts_with('#');
        for link in links(&text).into_iter().filter(inside) {
            followed += 1;
            let file = link.split('#').next().unwrap_or_default();
            if !folder.join(file).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(followed >= 5, "only {followed} links were found");
    assert!(broken.is_empty(), "broken links:\n  {}", broken.join("\n  "));
}

#[test]
fn commands_of_make_that_documents_name_are_there() {
    let makefile = read("Makefile");
    let known = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = read(document);
        let named = text.split("`make ").chain(text.split("\nmake ")).skip(1);
        let letters = |rest: &str| {
            rest.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default().to_owned()
        };
        let names: Vec<_> = named.map(letters).filter(|name| !name.is_empty()).collect();
        let unknown: Vec<_> = names.iter().filter(|name| !known(name)).collect();
        assert!(names.len() >= 3 && unknown.is_empty(), "{document}: {unknown:?} of {names:?}");
    }
}

/// Each claim of the README has its test, and each test that is named exists.
#[test]
fn every_section_of_the_readme_says_what_shows_it() {
    let claims = read("docs/claims.md");
    let rows = claims.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<Vec<&str>> =
        rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect();
    assert!(rows.len() >= 30, "only {} claims", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let shown_by: Vec<_> = row[2].split('`').skip(1).step_by(2).collect();
        if shown_by.is_empty() {
            wrong.push(format!("nothing shows: {}", row[1]));
        }
        wrong.extend(shown_by.into_iter().filter(|name| !exists(name)).map(str::to_owned));
    }
    let readme = read("README.md");
    let headings = readme.lines().filter_map(|line| line.strip_prefix("## "));
    let silent = headings.filter(|heading| *heading != "Further");
    wrong.extend(
        silent
            .filter(|heading| !rows.iter().any(|row| row[0] == *heading))
            .map(|heading| format!("nothing of section {heading}")),
    );
    assert!(wrong.is_empty(), "docs/claims.md:\n  {}", wrong.join("\n  "));
}

/// Whether there is a test `file::function`, or a program with that path.
fn exists(name: &str) -> bool {
    match name.split_once("::") {
        Some((file, function)) => {
            root().join(file).is_file() && {
                let text = read(file);
                let begin = format!("fn {function}(");
                text.split("#[").any(|item| item.starts_with("test]") && item.contains(&begin))
                    || text.contains("proptest!") && text.contains(&begin)
            }
        }
        None => root().join(name).is_file(),
    }
}
