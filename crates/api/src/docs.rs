//! The OpenAPI document: what the handlers' attributes do not say by themselves.

use std::collections::BTreeMap;

use protector_api_types::since;
use protector_policy::{ApiOperation, Rule};
use protector_types::Code;
use serde_json::{Value, json};
use utoipa::{
    IntoResponses, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, Response, ResponseBuilder,
        extensions::ExtensionsBuilder,
        path::{HttpMethod, Operation, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
    },
};

use crate::error::{HTTP_CODES, status_of};

/// Paths that need no token.
pub const PUBLIC: [&str; 6] = ["/", "/v1", "/v1/", "/healthz", "/metrics", "/openapi.json"];

/// Frame of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Protector",
        description = "Tenant-driven disaster recovery for OpenStack: protection groups, failover, failback, drills.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        protector_api_types::ErrorBody,
        protector_api_types::ErrorEntry,
        protector_api_types::HelpLink,
        protector_api_types::EventView
    )),
    tags(
        (name = "discovery", description = "Versions, liveness, metrics, this document"),
        (name = "sites", description = "Registered OpenStack clouds (administrators)"),
        (name = "tenant mappings", description = "Pairs of projects (administrators)"),
        (name = "protection groups", description = "Servers that fail over together"),
        (name = "operations", description = "Runs of failover, failback, drills and syncs"),
        (name = "health", description = "What works, and what a failover would meet"),
        (name = "peer", description = "Site to site only; never a tenant's token"),
    )
)]
pub struct Frame;

fn failure(description: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build();
    RefOr::T(response)
}

const COMMON: [(&str, &str); 7] = [
    ("400", "The request is malformed; each reason names the field"),
    ("401", "No token, or one that Keystone does not accept"),
    ("403", "The policy does not allow it; the rule is named"),
    ("406", "The microversion is out of range"),
    ("500", "A bug of Protector's"),
    ("502", "A service that Protector needs refused it or answered nonsense"),
    ("503", "A service that Protector needs does not answer; try again"),
];
const LOOK_UP: [(&str, &str); 1] = [("404", "Not there, or not the caller's to see")];
const CHANGE: [(&str, &str); 3] = [
    ("409", "The state does not allow it; nothing was changed"),
    ("413", "The body is too large"),
    ("415", "The body is not JSON"),
];
const MATCH: [(&str, &str); 1] = [("412", "`If-Match` names another version")];

macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident = $($part:ident),+;)+) => {
        $(
            $(#[$doc])*
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let parts: &[&[(&str, &str)]] = &[$(&$part),+];
                    parts
                        .iter()
                        .flat_map(|part| part.iter())
                        .map(|(status, text)| ((*status).to_owned(), failure(text)))
                        .collect()
                }
            }
        )+
    };
}

failures! {
    /// How a list fails.
    ListFails = COMMON, LOOK_UP;
    /// How a look at one thing fails.
    ShowFails = COMMON, LOOK_UP;
    /// How a change fails.
    ChangeFails = COMMON, LOOK_UP, CHANGE;
    /// How a change with a precondition fails.
    MatchFails = COMMON, LOOK_UP, CHANGE, MATCH;
}

/// Adds what holds for many calls: security, version header, policy rules, error codes, versions.
pub fn complete(mut api: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = api.components.get_or_insert_default();
    let token = ApiKeyValue::with_description("X-Auth-Token", "A Keystone token of the project");
    components
        .security_schemes
        .insert("keystone".into(), SecurityScheme::ApiKey(ApiKey::Header(token)).into());
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in [
            (HttpMethod::Get, &mut item.get),
            (HttpMethod::Put, &mut item.put),
            (HttpMethod::Post, &mut item.post),
            (HttpMethod::Patch, &mut item.patch),
            (HttpMethod::Delete, &mut item.delete),
        ] {
            if let Some(operation) = operation {
                complete_operation(word(&method), path, operation);
            }
        }
    }
    api
}

/// The method's name as HTTP has it.
fn word(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Put => "PUT",
        HttpMethod::Post => "POST",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Delete => "DELETE",
        _ => "OTHER",
    }
}

/// A name for generated clients: method and path, which nothing else has.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slash = if path.len() > 1 && path.ends_with('/') { "_slash" } else { "" };
    let name = words.fold(method.to_ascii_lowercase(), |name, word| format!("{name}_{word}"));
    format!("{name}{slash}")
}

fn complete_operation(method: &str, path: &str, operation: &mut Operation) {
    operation.operation_id = Some(operation_id(method, path));
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            let codes = codes_of(status);
            if !codes.is_empty() {
                response.extensions =
                    Some(ExtensionsBuilder::new().add("x-error-codes", codes).build());
            }
        }
    }
    if PUBLIC.contains(&path) {
        return;
    }
    operation.security = Some(vec![SecurityRequirement::new("keystone", Vec::<String>::new())]);
    let version = ParameterBuilder::new()
        .name("OpenStack-API-Version")
        .parameter_in(ParameterIn::Header)
        .description(Some("`protector X.Y` or `protector latest`; 1.0 if left out"))
        .schema(Some(
            ObjectBuilder::new().schema_type(Type::String).examples([json!("protector 1.3")]),
        ))
        .build();
    operation.parameters.get_or_insert_default().push(version.into());
    let rules: Vec<Value> = rules_of(method, path).into_iter().map(|r| r.name().into()).collect();
    let since = since::verb_since(method, path).to_string();
    let ours = ExtensionsBuilder::new().add("x-policy-rules", rules).add("x-since", since).build();
    match &mut operation.extensions {
        Some(extensions) => extensions.merge(ours),
        none => *none = Some(ours),
    }
}

/// Codes whose answers have this status.
fn codes_of(status: &str) -> Vec<Value> {
    let of_core = Code::ALL
        .iter()
        .filter(|code| status_of(code.kind()).as_str() == status)
        .map(|code| code.as_str());
    let of_http =
        HTTP_CODES.iter().filter(|(_, s, _)| s.to_string() == status).map(|(code, ..)| *code);
    of_core.chain(of_http).map(Value::from).collect()
}

/// The policy rules that a call asks: the registry's own list, matched.
pub fn rules_of(method: &str, path: &str) -> Vec<Rule> {
    let covers = |it: &ApiOperation| {
        let same_path = match it.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => it.path == path,
        };
        same_path && (it.method == "ANY" || it.method == method)
    };
    Rule::ALL.iter().copied().filter(|rule| rule.operations().iter().any(covers)).collect()
}
