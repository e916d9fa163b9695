//! Licences, banned crates, and one TLS provider.

use std::collections::BTreeMap;

use crate::{
    metadata::{Metadata, Package},
    report::Report,
    spdx,
};

/// Licences that go into an Apache-2.0 product without further duties than naming them.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not be built, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl", TLS),
    ("openssl-sys", TLS),
    ("native-tls", TLS),
    ("aws-lc-rs", TLS),
    ("aws-lc-sys", TLS),
    ("boring", TLS),
    ("utoipa-swagger-ui", DOWNLOADS),
    ("protoc-prebuilt", DOWNLOADS),
    ("ort-sys", DOWNLOADS),
    ("curl-sys", "builds a second HTTP client"),
    ("inventory", LINK_TIME),
    ("ctor", LINK_TIME),
    ("linkme", LINK_TIME),
];
const TLS: &str = "TLS is rustls with ring, and nothing else";
const DOWNLOADS: &str = "its build script downloads; the build works without a network";
const LINK_TIME: &str = "nothing is registered at link time here";

/// Of these, two versions in one program would mean two TLS stacks.
const ONCE: &[&str] = &["rustls", "ring", "rustls-webpki"];

/// Checks everything that is shipped or used to build.
pub fn check(metadata: &Metadata) -> Report {
    let mut report = Report::default();
    let shipped = metadata.shipped();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in metadata.packages.iter().filter(|p| shipped.contains(p.id.as_str())) {
        check_licence(package, &mut report);
        if let Some((name, why)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            report.error(
                name,
                format!("is banned: {why}; find who needs it with `cargo tree -i {name}`"),
            );
        }
        versions.entry(&package.name).or_default().push(&package.version);
    }
    for name in ONCE {
        if let Some(found) = versions.get(name).filter(|found| found.len() > 1) {
            report.error(name, format!("is built in several versions: {}", found.join(", ")));
        }
    }
    check_rustls(metadata, &mut report);
    report
}

fn check_licence(package: &Package, report: &mut Report) {
    let place = format!("{} {}", package.name, package.version);
    match package.license.as_deref().map(|licence| (licence, spdx::is_accepted(licence, ACCEPTED)))
    {
        Some((_, Ok(true))) => {}
        Some((licence, Ok(false))) => {
            report.error(place, format!("licence {licence:?} is not among the accepted ones"));
        }
        Some((_, Err(error))) => report.error(place, error),
        None => report.error(place, "names no licence"),
    }
}

/// rustls must be built with ring and with no other provider: with two, its default builder panics.
fn check_rustls(metadata: &Metadata, report: &mut Report) {
    let is_rustls = |id: &str| metadata.packages.iter().any(|p| p.id == id && p.name == "rustls");
    for node in metadata.resolve.nodes.iter().filter(|node| is_rustls(&node.id)) {
        for other in ["aws_lc_rs", "aws-lc-rs", "fips"] {
            if node.features.iter().any(|feature| feature == other) {
                report.error("rustls", format!("is built with its feature {other}: {TLS}"));
            }
        }
        if !node.features.iter().any(|feature| feature == "ring") {
            report.error("rustls", "is built without ring, its only provider here");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    /// Name, version, licence, kind of edge, features.
    type Used<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a str>, &'a [&'a str]);

    /// Our crate "ours" that uses these packages.
    fn world(packages: &[Used<'_>]) -> Metadata {
        let mut all =
            vec![json!({"id": "ours", "name": "ours", "version": "0.1.0", "license": "Apache-2.0",
                                  "dependencies": [], "manifest_path": ""})];
        let (mut deps, mut nodes): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for (name, version, licence, kind, features) in packages {
            let id = format!("{name}@{version}");
            all.push(json!({"id": id, "name": name, "version": version, "license": licence,
                            "dependencies": [], "manifest_path": ""}));
            deps.push(json!({"pkg": id, "dep_kinds": [{"kind": kind}]}));
            nodes.push(json!({"id": id, "deps": [], "features": features}));
        }
        nodes.push(json!({"id": "ours", "deps": deps, "features": []}));
        let value =
            json!({"packages": all, "workspace_members": ["ours"], "resolve": {"nodes": nodes}});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn accepted_licences_and_what_only_tests_use_pass() {
        let report = check(&world(&[
            ("a", "1.0.0", Some("MIT OR Apache-2.0"), None, &[]),
            ("b", "1.0.0", Some("GPL-3.0"), Some("dev"), &[]),
            ("rustls", "0.23.0", Some("Apache-2.0 OR ISC OR MIT"), None, &["ring", "std"]),
        ]));
        assert_eq!(report, Report::default());
    }

    #[test]
    fn planted_violations_are_found() {
        let report = check(&world(&[
            ("a", "1.0.0", Some("AGPL-3.0"), None, &[]),
            ("b", "1.0.0", None, Some("build"), &[]),
            ("openssl-sys", "0.9.0", Some("MIT"), None, &[]),
            ("ring", "0.16.0", Some("ISC"), None, &[]),
            ("ring", "0.17.0", Some("ISC"), None, &[]),
            ("rustls", "0.23.0", Some("MIT"), None, &["aws_lc_rs"]),
        ]));
        let found = report.errors().join("\n");
        for wanted in [
            "a 1.0.0: licence \"AGPL-3.0\"",
            "b 1.0.0: names no licence",
            "openssl-sys: is banned",
            "ring: is built in several versions: 0.16.0, 0.17.0",
            "rustls: is built with its feature aws_lc_rs",
            "rustls: is built without ring",
        ] {
            assert!(found.contains(wanted), "{wanted} is not in:\n{found}");
        }
        assert_eq!(report.errors().len(), 6);
    }
}
