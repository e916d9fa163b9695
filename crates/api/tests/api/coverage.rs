//! Walks the OpenAPI document: no endpoint without a policy rule, documented failures and a refusal for whoever
//! may not use it; and the checked-in copy is the generated one.

use protector_api::docs::{PUBLIC, rules_of};
use protector_policy::Rule;
use serde_json::Value;

use crate::{
    fake::{PROJECT, group_id, mapping_id, member_id, operation_id, site_b},
    support::Api,
};

fn document() -> Value {
    serde_json::to_value(protector_api::openapi()).unwrap()
}

/// Every call of the document: method, path, operation.
fn calls(document: &Value) -> Vec<(String, String, Value)> {
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                calls.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    assert!(calls.len() > 45, "{}", calls.len());
    calls
}

fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path)
}

/// A path with ids of things that are there.
fn real(path: &str) -> String {
    path.replace("{tenant_id}", PROJECT)
        .replace("{pg_id}", &group_id().to_string())
        .replace("{member_id}", &member_id().to_string())
        .replace("{op_id}", &operation_id().to_string())
        .replace("{site_id}", &site_b().to_string())
        .replace("{mapping_id}", &mapping_id().to_string())
}

#[test]
fn the_checked_in_document_is_the_generated_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/protector-v1.json");
    let generated = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        checked_in == generated,
        "{file} is stale: run this test with UPDATE_OPENAPI=1 and look at the difference"
    );
}

#[test]
fn it_is_openapi_3_1_and_all_references_lead_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn every_call_has_a_name_of_its_own() {
    let mut names = std::collections::BTreeSet::new();
    for (method, path, operation) in calls(&document()) {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name), "{method} {path}");
    }
}

#[test]
fn every_call_has_a_rule_that_is_the_registrys() {
    let document = document();
    for (method, path, operation) in calls(&document) {
        let rules = rules_of(&method, &path);
        assert_eq!(rules.is_empty(), is_public(&path), "{method} {path}: {rules:?}");
        if !is_public(&path) {
            assert!(operation["x-policy-rules"].as_array().is_some_and(|r| r.len() == rules.len()));
            assert!(operation["security"].is_array(), "{method} {path}");
        }
    }
}

#[test]
fn every_rule_belongs_to_a_call_or_is_known_to_wait_for_one() {
    let document = document();
    let calls = calls(&document);
    let waiting: Vec<_> = Rule::ALL
        .iter()
        .filter(|rule| !calls.iter().any(|(method, path, _)| rules_of(method, path).contains(rule)))
        .map(|rule| rule.name())
        .collect();
    assert_eq!(waiting, ["protector:sites:failover"]);
}

#[test]
fn every_call_documents_how_it_fails_with_codes() {
    let document = document();
    for (method, path, operation) in calls(&document) {
        assert!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{method} {path}"
        );
        if is_public(&path) {
            continue;
        }
        let responses = operation["responses"].as_object().unwrap();
        let mut expected = vec!["400", "401", "403", "404", "406", "500", "502", "503"];
        if method != "GET" {
            expected.extend(["409", "413", "415"]);
        }
        for status in expected {
            let response =
                responses.get(status).unwrap_or_else(|| panic!("{method} {path}: {status}"));
            let codes = response["x-error-codes"].as_array().map_or(0, Vec::len);
            assert!(codes > 0, "{method} {path}: {status} names no codes");
        }
        assert!(responses.keys().any(|s| s.starts_with('2')), "{method} {path}");
    }
}

#[tokio::test]
async fn nobody_gets_in_who_may_not() {
    let api = Api::new();
    let mut refused = 0;
    for (method, path, _) in calls(&document()) {
        let target = real(&path);
        let body = match path.ends_with("/action") {
            true => r#"{"sync_volumes": {}}"#,
            false => "",
        };
        if is_public(&path) {
            let answer = api.send(&method, &target, &[], "").await;
            assert_eq!(answer.status, 200, "{method} {path}");
            continue;
        }
        let answer =
            api.send(&method, &target, &[("openstack-api-version", "protector 1.3")], body).await;
        assert_eq!(answer.status, 401, "{method} {path} without a token");
        let strangers: &[(&str, u16)] = match path.as_str() {
            p if p.contains("{tenant_id}") => {
                &[("foreign", 404), ("nobody", 403), ("unscoped", 404)]
            }
            "/v1/health" => &[("nobody", 403), ("unscoped", 403)],
            _ => &[("member", 403), ("foreign", 403), ("nobody", 403), ("reader", 403)],
        };
        for (who, status) in strangers {
            let answer = api.call(who, &method, &target, body).await;
            assert_eq!(answer.status, *status, "{method} {path} as {who}: {}", answer.text);
            answer.codes();
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
}
