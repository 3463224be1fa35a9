//! `[[products]]` as written, ready to be compiled into the catalogue. Pure.

use serde_json::Value;

use super::section::Section;
use crate::catalogue::{HivelocitySettings, OneHSettings, ProductSettings};

/// Every product; one with a problem is kept as far as it can be.
pub(super) fn products(root: &mut Section<'_>) -> Vec<ProductSettings> {
    let key = "products";
    let read = match root.value(key) {
        None => return Vec::new(),
        Some(Value::Array(list)) => root.tables(key, list),
        // The environment has only texts.
        Some(Value::String(text)) => {
            let Ok(Value::Array(list)) = serde_json::from_str(text) else {
                root.problem(key, "is no JSON array of products");
                return Vec::new();
            };
            return root.tables(key, &list).into_iter().map(product).collect();
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            root.problem(key, "must be a list of tables: write [[products]]");
            return Vec::new();
        }
    };
    read.into_iter().map(product).collect()
}

fn product(mut section: Section<'_>) -> ProductSettings {
    let source = section.text("source");
    let id = section.id("id").unwrap_or_default();
    if id.is_empty() {
        section.problem("id", "is missing; write the billing platform's product id");
    }
    let hivelocity = section.optional("hivelocity").map(device);
    let one_h = section.optional("one_h").map(licences);
    section.finish();
    ProductSettings {
        source,
        id,
        hivelocity,
        one_h,
    }
}

fn device(mut section: Section<'_>) -> HivelocitySettings {
    let product_id = section.parsed("product_id", "Hivelocity's product id, e.g. 584", |text| {
        text.trim().parse::<i64>().ok().filter(|id| *id > 0)
    });
    let mut needed = |key: &str, example: &str| {
        let text = section.text(key);
        if section.value(key).is_none() {
            section.problem(key, format!("is missing; write e.g. {example:?}"));
        }
        text.unwrap_or_default()
    };
    let location = needed("location", "{{ options['Location'] or 'TPA1' }}");
    let os = needed("os", "{{ options['Operating System'] or 'Ubuntu 22.04' }}");
    let settings = HivelocitySettings {
        // A wrong one was noted; the catalogue must not report it again.
        product_id: product_id.unwrap_or(1),
        location,
        os,
        hostname: section
            .text("hostname")
            .unwrap_or_else(HivelocitySettings::default_hostname),
        period: section
            .text("period")
            .unwrap_or_else(HivelocitySettings::default_period),
        on_suspend: section.word("on_suspend", HivelocitySettings::default_on_suspend()),
        on_terminate: section.word("on_terminate", HivelocitySettings::default_on_terminate()),
    };
    section.finish();
    settings
}

fn licences(mut section: Section<'_>) -> OneHSettings {
    let settings = OneHSettings {
        licenses: section.items("licenses").unwrap_or_default(),
        ip: section.text("ip").unwrap_or_else(OneHSettings::default_ip),
        label: section
            .text("label")
            .unwrap_or_else(OneHSettings::default_label),
        portal_domain: section.text("portal_domain").unwrap_or_default(),
        on_suspend: section.word("on_suspend", OneHSettings::default_on_suspend()),
    };
    section.finish();
    settings
}
