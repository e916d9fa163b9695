//! Who asks, and about what.

use protector_types::{ProjectId, UserId};
use serde_json::{Map, Value};

/// The caller, as Keystone described the token. Names of attributes are those of oslo.context, so that
/// rules written for other OpenStack services mean the same here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Credentials(Map<String, Value>);

impl Credentials {
    /// A token of a user in a project with these roles (implied ones included, as Keystone lists them).
    pub fn new<R: Into<String>>(
        user: &UserId,
        project: &ProjectId,
        roles: impl IntoIterator<Item = R>,
    ) -> Self {
        let roles: Vec<Value> = roles.into_iter().map(|role| Value::String(role.into())).collect();
        let is_admin = roles.iter().any(|role| role.as_str().is_some_and(is_admin_role));
        Self::default()
            .with("user_id", user.as_str())
            .with("project_id", project.as_str())
            .with("roles", roles)
            .with("is_admin", is_admin)
    }

    /// Adds one attribute (`user_domain_id`, `project_domain_id`, `service_roles`, ...). A nested object
    /// is reached by a dotted path: `token.project.id:%(project_id)s`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// True if the token has this role; roles are compared without case, as everywhere in OpenStack.
    pub(crate) fn has_role(&self, wanted: &str) -> bool {
        let roles = self.0.get("roles").and_then(Value::as_array);
        roles.is_some_and(|roles| {
            roles.iter().filter_map(Value::as_str).any(|role| same_word(role, wanted))
        })
    }

    /// True if the attribute at this path, or one element of a list on the way, prints as `wanted`.
    pub(crate) fn has(&self, path: &[String], wanted: &str) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.0.get(first).is_some_and(|value| value_has(value, rest, wanted))
    }
}

fn is_admin_role(role: &str) -> bool {
    same_word(role, "admin")
}

fn same_word(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn value_has(value: &Value, path: &[String], wanted: &str) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| value_has(item, path, wanted));
    }
    match path.split_first() {
        None => printed(value) == wanted,
        Some((first, rest)) => value.get(first).is_some_and(|inner| value_has(inner, rest, wanted)),
    }
}

/// A value as oslo.policy prints it when it compares: Python's `str`.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the request is about: the attributes that `%(name)s` reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target(Map<String, Value>);

impl Target {
    /// Something that belongs to a project. For things that belong to nobody (sites) use
    /// [`Target::default`].
    pub fn project(project: &ProjectId) -> Self {
        Self::default().with("project_id", project.as_str())
    }

    /// Adds one attribute of the resource (`user_id`, `protection_group_id`, ...).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The printed attribute, `None` if the target has none of that name.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(printed)
    }
}
