//! Newtypes for every id, so that one can never be passed for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is wrong with the text of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind} id: expected {expected}")]
pub struct BadId {
    kind: &'static str,
    expected: &'static str,
    text: String,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh, time-ordered id.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId {
                    kind: $kind,
                    expected: "a UUID",
                    text: text.to_owned(),
                })
            }
        }
    };
}

uuid_id!(
    /// A registered OpenStack cloud; made by that site's own Protector at its first start.
    SiteId, "site"
);
uuid_id!(
    /// An admin-made pair of projects.
    TenantMappingId, "tenant mapping"
);
uuid_id!(
    /// A protection group; the same on both sites.
    GroupId, "protection group"
);
uuid_id!(
    /// A server's place in a protection group; the same on both sites.
    MemberId, "member"
);

/// An operation: `op-` followed by a UUID (1-product.md section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, utoipa::ToSchema)]
#[schema(value_type = String, example = "op-456abc78-0000-7000-8000-000000000000")]
pub struct OperationId(pub Uuid);

impl OperationId {
    /// A fresh, time-ordered id.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The last twelve hex digits: short enough for array names, and random in a v7 UUID.
    pub fn short(&self) -> String {
        let hex = self.0.simple().to_string();
        hex[hex.len() - 12..].to_owned()
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "op-{}", self.0)
    }
}

impl FromStr for OperationId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        text.strip_prefix("op-").and_then(|rest| Uuid::parse_str(rest).ok()).map(Self).ok_or_else(
            || BadId {
                kind: "operation",
                expected: "op- followed by a UUID",
                text: text.to_owned(),
            },
        )
    }
}

impl Serialize for OperationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OperationId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as the service wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

text_id!(
    /// A Keystone project, as its cloud spells it (usually 32 hex digits).
    ProjectId
);
text_id!(
    /// A Keystone user.
    UserId
);
text_id!(
    /// One call to our API: `req-` followed by a UUID.
    RequestId
);

impl RequestId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(format!("req-{}", Uuid::new_v4()))
    }
}
