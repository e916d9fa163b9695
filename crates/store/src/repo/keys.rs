//! Idempotency keys: which operation a project's key stands for, for 24 hours.

use chrono::TimeDelta;
use protector_types::{OperationId, ProjectId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
};

use crate::{
    Conflict, OperationRow, Store, StoreError,
    convert::{Row, time_text, word},
    entity::{idempotency_key, operation},
    error::raced,
    repo::operations::read,
};

/// For how long an idempotency key is remembered.
const KEY_VALIDITY: TimeDelta = TimeDelta::hours(24);

impl Store {
    /// The operation that a key of a project stands for, with the digest it was used with.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn find_idempotent(
        &self,
        project: &ProjectId,
        key: &str,
    ) -> Result<Option<(OperationId, String)>, StoreError> {
        self.find_key(self.reader(), project, key).await
    }

    /// The operation that a key stands for.
    pub(crate) async fn known_by_key(
        &self,
        tx: &DatabaseTransaction,
        project: &ProjectId,
        idempotency: Option<&(String, String)>,
    ) -> Result<Option<OperationRow>, StoreError> {
        let Some((key, digest)) = idempotency else { return Ok(None) };
        let Some((operation, used)) = self.find_key(tx, project, key).await? else {
            return Ok(None);
        };
        if used != *digest {
            return Err(Conflict::IdempotencyMismatch { operation }.into());
        }
        let row = operation::Entity::find_by_id(operation.to_string()).one(tx).await?;
        row.map(read).transpose()
    }

    async fn find_key<C: ConnectionTrait>(
        &self,
        conn: &C,
        project: &ProjectId,
        key: &str,
    ) -> Result<Option<(OperationId, String)>, StoreError> {
        let row = idempotency_key::Entity::find_by_id((project.to_string(), key.to_owned()))
            .filter(idempotency_key::Column::ExpiresAt.gt(time_text(self.now())))
            .one(conn)
            .await?;
        row.map(|row| {
            let at = Row { table: "idempotency_keys", id: &row.idem_key };
            Ok((at.parse("operation_id", &row.operation_id)?, row.digest))
        })
        .transpose()
    }

    /// Remembers what a key stands for.
    pub(crate) async fn remember_key(
        &self,
        tx: &DatabaseTransaction,
        project: &ProjectId,
        idempotency: Option<&(String, String)>,
        operation: OperationId,
    ) -> Result<(), StoreError> {
        let Some((key, digest)) = idempotency else { return Ok(()) };
        let now = self.now();
        idempotency_key::Entity::delete_many()
            .filter(idempotency_key::Column::ExpiresAt.lte(time_text(now)))
            .exec(tx)
            .await?;
        let row = idempotency_key::Model {
            project_id: project.to_string(),
            idem_key: word("Idempotency-Key", key)?,
            digest: digest.clone(),
            operation_id: operation.to_string(),
            expires_at: time_text(now + KEY_VALIDITY),
        };
        idempotency_key::Entity::insert(row.into_active_model())
            .exec_without_returning(tx)
            .await
            .map_err(raced)?;
        Ok(())
    }
}
