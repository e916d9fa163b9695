//! The query string, and what is common to every list: filter, sort, pages, totals.

use std::cmp::Ordering;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::{
    contract::Level,
    error::{Outcome, Refused},
    filter::{self, Expr, Subject},
};

/// A page never holds more items, whatever `limit` says.
pub(crate) const MAX_PAGE: usize = 1000;

/// The query string of one call.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// One candidate of a list.
pub(crate) struct Row {
    /// The item with all fields of all versions.
    pub value: Value,
    /// Its tags, for `tags()` filters.
    pub tags: Vec<(String, String)>,
}

impl From<Value> for Row {
    fn from(value: Value) -> Self {
        Self { value, tags: Vec::new() }
    }
}

impl Subject for Row {
    fn value(&self) -> &Value {
        &self.value
    }

    fn tag(&self, key: &str) -> Option<String> {
        self.tags.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.clone())
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

impl Query {
    /// Takes the raw query string apart; values stay encoded until they are read.
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        let pairs = raw
            .unwrap_or("")
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(key, value)| (decode(key), value.to_owned()))
            .collect();
        Self { pairs }
    }

    /// The names of all parameters.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(k, _)| k.as_str())
    }

    fn raw(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// True when the parameter was sent.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.raw(key).map(decode)
    }

    /// A list: comma-separated, each value encoded by itself (an encoded comma separates as well: no
    /// name has one).
    pub(crate) fn list(&self, key: &str) -> Option<Vec<String>> {
        let text = self.text(key)?;
        Some(text.split(',').map(str::to_owned).filter(|name| !name.is_empty()).collect())
    }

    /// `true` or `false`; anything else is refused.
    pub(crate) fn flag(&self, key: &str) -> Outcome<Option<bool>> {
        match self.text(key).as_deref() {
            None => Ok(None),
            Some("true" | "True") => Ok(Some(true)),
            Some("false" | "False") => Ok(Some(false)),
            Some(_) => Err(Refused::of(key, "Invalid boolean value.")),
        }
    }

    /// A flag that is false when it is not given.
    pub(crate) fn is(&self, key: &str) -> Outcome<bool> {
        Ok(self.flag(key)?.unwrap_or(false))
    }

    fn number(&self, key: &str) -> Outcome<Option<usize>> {
        match self.text(key) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(Refused::of(key, "Invalid number.")),
            },
        }
    }

    /// The filter, parsed.
    pub(crate) fn filter(&self) -> Outcome<Option<Expr>> {
        match self.text("filter").filter(|text| !text.trim().is_empty()) {
            None => Ok(None),
            Some(text) => filter::parse(&text)
                .map(Some)
                .map_err(|why| Refused::of("filter", format!("Invalid filter: {why}"))),
        }
    }
}

/// Filters, sorts and cuts `candidates` into the page that the query asks for.
///
/// `build` makes an item of a candidate; without a filter and a sort it is called for the page only.
pub(crate) fn page<T>(
    query: &Query,
    fields: &Level,
    minor: u32,
    candidates: Vec<T>,
    build: impl Fn(&T) -> Row,
) -> Outcome<Value> {
    let filter = query.filter()?;
    if let Some(filter) = &filter {
        let known = |f: &&str| fields.0.get(*f).is_some_and(|(since, _)| *since <= minor);
        if let Some(unknown) = filter.fields().into_iter().find(|f| !known(f)) {
            return Err(Refused::of(unknown, "Invalid filter: no such field."));
        }
    }
    let sort = query.list("sort").unwrap_or_default();
    let total_only = query.is("total_only")?;
    let limit = query.number("limit")?;
    let offset = match query.text("continuation_token") {
        Some(token) => resume(&token)?,
        None => query.number("offset")?.unwrap_or(0),
    };
    let size = limit.unwrap_or(MAX_PAGE).min(MAX_PAGE);

    let eager = filter.is_some() || !sort.is_empty() || total_only;
    let (count, mut items, total) = if eager {
        let mut rows: Vec<Row> = candidates.iter().map(&build).collect();
        if let Some(filter) = &filter {
            rows.retain(|row| filter.matches(row));
        }
        order(&mut rows, &sort);
        let total = total_only.then(|| total(&rows));
        let count = rows.len();
        let cut = rows.into_iter().skip(offset).take(size);
        (count, cut.map(|r| r.value).collect::<Vec<_>>(), total)
    } else {
        let cut = candidates.iter().skip(offset).take(size);
        (candidates.len(), cut.map(|c| build(c).value).collect(), None)
    };
    let more = !total_only && limit != Some(0) && offset + items.len() < count;
    let mut body = Map::new();
    let token = (more && sort.is_empty()).then(|| token(offset + items.len()));
    body.insert("continuation_token".into(), json!(token));
    body.insert("more_items_remaining".into(), json!(more));
    let wanted = query.is("total_item_count")? || limit == Some(0);
    body.insert("total_item_count".into(), json!(wanted.then_some(count)));
    if total_only {
        items.clear();
    }
    for item in &mut items {
        fields.prune(item, minor);
    }
    body.insert("items".into(), Value::Array(items));
    if let Some(mut total) = total {
        fields.prune(&mut total, minor);
        body.insert("total".into(), json!([total]));
    }
    Ok(Value::Object(body))
}

fn token(offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{offset}"))
}

fn resume(token: &str) -> Outcome<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .strip_prefix("after:")
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| Refused::of("continuation_token", "Invalid continuation token."))
}

fn order(rows: &mut [Row], sort: &[String]) {
    rows.sort_by(|a, b| {
        sort.iter().fold(Ordering::Equal, |order, key| {
            order.then_with(|| {
                let (field, descending) = match key.strip_suffix('-') {
                    Some(field) => (field, true),
                    None => (key.strip_suffix('+').unwrap_or(key), false),
                };
                let order = by_value(at(&a.value, field), at(&b.value, field));
                if descending { order.reverse() } else { order }
            })
        })
    });
}

fn at<'a>(value: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(value, |v, step| v.get(step).unwrap_or(&Value::Null))
}

fn by_value(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// The sums of what can be summed.
fn total(rows: &[Row]) -> Value {
    let mut sums = Map::new();
    for row in rows {
        let Value::Object(map) = &row.value else { continue };
        for (key, value) in map {
            let summable = matches!(
                key.as_str(),
                "provisioned"
                    | "connection_count"
                    | "volume_count"
                    | "host_count"
                    | "data_transferred"
                    | "physical_bytes_written"
                    | "footprint"
            );
            if let (true, Some(number)) = (summable, value.as_u64()) {
                let sum = sums.get(key).and_then(Value::as_u64).unwrap_or(0) + number;
                sums.insert(key.clone(), json!(sum));
            }
            if let (true, Value::Object(space)) = (key == "space", value) {
                let entry = sums.entry("space").or_insert_with(|| json!({}));
                for (part, number) in space {
                    if let Some(number) = number.as_u64() {
                        let sum = entry[part].as_u64().unwrap_or(0) + number;
                        entry[part] = json!(sum);
                    }
                }
            }
        }
    }
    Value::Object(sums)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn names(body: &Value) -> Vec<String> {
        let items = body["items"].as_array().unwrap();
        items.iter().map(|i| i["name"].as_str().unwrap().to_owned()).collect()
    }

    fn ask(raw: &str, count: usize) -> Outcome<Value> {
        let fields = &super::super::contract::endpoint("GET", "/volumes").unwrap().answer;
        let query = Query::parse(Some(raw));
        page(&query, fields, 26, (0..count).collect(), |n| {
            Row::from(json!({"name": format!("v{n}"), "provisioned": 10 - n % 3}))
        })
    }

    #[test]
    fn pages_clamp_and_resume() {
        let first = ask("limit=5000", 2500).unwrap();
        assert_eq!(first["items"].as_array().unwrap().len(), MAX_PAGE);
        assert_eq!(first["more_items_remaining"], true);
        assert_eq!(first["total_item_count"], Value::Null);
        let token = first["continuation_token"].as_str().unwrap();
        let next = ask(&format!("continuation_token={token}"), 2500).unwrap();
        assert_eq!(names(&next)[0], "v1000");
        assert_eq!(ask("offset=2499", 2500).unwrap()["more_items_remaining"], false);
    }

    #[test]
    fn sorted_pages_have_no_token() {
        let body = ask("sort=provisioned,name-&limit=3", 9).unwrap();
        assert_eq!(names(&body), ["v8", "v5", "v2"]);
        assert_eq!(body["more_items_remaining"], true);
        assert_eq!(body["continuation_token"], Value::Null);
    }

    #[test]
    fn counts_and_totals() {
        let body = ask("limit=0", 7).unwrap();
        assert_eq!(body["total_item_count"], 7);
        assert!(names(&body).is_empty());
        let body = ask("total_only=true&filter=name%3D%27v1%27", 7).unwrap();
        assert_eq!(body["total"][0]["provisioned"], 9);
        assert!(names(&body).is_empty());
    }

    #[test]
    fn refuses_unknown_fields_flags_and_numbers() {
        for raw in ["filter=bogus%3D1", "total_item_count=yes", "limit=x", "continuation_token=x"] {
            assert_eq!(ask(raw, 1).unwrap_err().status, 400, "{raw}");
        }
    }

    #[test]
    fn lists_split_at_commas_and_decode() {
        let query = Query::parse(Some("names=a%20b,pod%3A%3Av%2B1&ids=x%2Cy"));
        assert_eq!(query.list("names").unwrap(), ["a b", "pod::v+1"]);
        assert_eq!(query.list("ids").unwrap(), ["x", "y"]);
    }
}
