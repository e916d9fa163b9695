//! What `keystone-manage bootstrap` and an operator would have made.

use chrono::Duration;

use super::{Assignment, CatalogService, Domain, Endpoint, Project, Role, State, Target, User};

/// A user that exists from the start, with a project and roles on it.
#[derive(Debug, Clone)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Project name; made if absent.
    pub project: String,
    /// Role names on that project.
    pub roles: Vec<String>,
}

impl Account {
    /// An account.
    pub fn new(user: &str, password: &str, project: &str, roles: &[&str]) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            project: project.to_owned(),
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        }
    }
}

/// Who and what exists from the start.
#[derive(Debug, Clone)]
pub struct SeedConfig {
    /// Users with their projects. The first is the administrator.
    pub accounts: Vec<Account>,
    /// Life of a token.
    pub token_life: Duration,
}

impl Default for SeedConfig {
    /// `admin`, the tenants `app` and `other`, and the service user `protector`.
    fn default() -> Self {
        Self {
            accounts: vec![
                Account::new("admin", "admin-password", "admin", &["admin"]),
                Account::new("app-user", "app-password", "app", &["member"]),
                Account::new("other-user", "other-password", "other", &["member"]),
                Account::new("protector", "protector-password", "service", &["admin", "service"]),
            ],
            token_life: Duration::hours(1),
        }
    }
}

/// Fills an empty Keystone: domain Default, roles, accounts, the catalog of one region.
/// `new_id` gives ids of 32 hex digits.
pub fn seed(
    state: &mut State,
    config: &SeedConfig,
    region: &str,
    mut new_id: impl FnMut() -> String,
) {
    state.token_life = Some(config.token_life);
    state.regions.insert(region.to_owned());
    state.domains.insert(
        "default".to_owned(),
        Domain {
            id: "default".to_owned(),
            name: "Default".to_owned(),
            description: "The default domain".to_owned(),
            enabled: true,
        },
    );
    for name in ["admin", "manager", "member", "reader", "service", "protector"] {
        let id = new_id();
        state.roles.insert(id.clone(), Role { id, name: name.to_owned() });
    }
    project(state, "service", &mut new_id);
    for account in &config.accounts {
        seed_account(state, account, &mut new_id);
    }
    if let (Some(first), Some(admin)) =
        (config.accounts.first(), state.role_named("admin").map(|r| r.id.clone()))
        && let Some(user_id) = state.user_named(&first.user, "default").map(|u| u.id.clone())
    {
        let target = Target::Domain("default".to_owned());
        state.assignments.insert(Assignment { role_id: admin, user_id, target });
    }
    seed_catalog(state, region, &mut new_id);
}

fn project(state: &mut State, name: &str, new_id: &mut impl FnMut() -> String) -> String {
    if let Some(project) = state.project_named(name, "default") {
        return project.id.clone();
    }
    let id = new_id();
    state.projects.insert(
        id.clone(),
        Project {
            id: id.clone(),
            name: name.to_owned(),
            domain_id: "default".to_owned(),
            description: String::new(),
            enabled: true,
            tags: Vec::new(),
        },
    );
    id
}

fn seed_account(state: &mut State, account: &Account, new_id: &mut impl FnMut() -> String) {
    let project_id = project(state, &account.project, new_id);
    let user_id = new_id();
    state.users.insert(
        user_id.clone(),
        User {
            id: user_id.clone(),
            name: account.user.clone(),
            domain_id: "default".to_owned(),
            password: account.password.clone(),
            enabled: true,
            default_project_id: None,
            extra: serde_json::Map::new(),
        },
    );
    for name in &account.roles {
        if let Some(role_id) = state.role_named(name).map(|r| r.id.clone()) {
            let target = Target::Project(project_id.clone());
            state.assignments.insert(Assignment { role_id, user_id: user_id.clone(), target });
        }
    }
}

fn seed_catalog(state: &mut State, region: &str, new_id: &mut impl FnMut() -> String) {
    let services = [
        ("identity", "keystone", "/identity"),
        ("compute", "nova", "/compute/v2.1"),
        ("volumev3", "cinderv3", "/volume/v3/$(project_id)s"),
        ("block-storage", "cinder", "/volume/v3"),
        ("network", "neutron", "/network"),
        ("image", "glance", "/image"),
    ];
    for (kind, name, path) in services {
        let service_id = new_id();
        state.services.insert(
            service_id.clone(),
            CatalogService {
                id: service_id.clone(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                description: String::new(),
                enabled: true,
            },
        );
        for interface in ["public", "internal", "admin"] {
            let id = new_id();
            state.endpoints.insert(
                id.clone(),
                Endpoint {
                    id,
                    service_id: service_id.clone(),
                    interface: interface.to_owned(),
                    region_id: region.to_owned(),
                    url: path.to_owned(),
                    enabled: true,
                },
            );
        }
    }
}
