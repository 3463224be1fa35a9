//! What a catalogue accepts and refuses when it is compiled.

use super::*;

pub(super) fn device() -> HivelocitySettings {
    HivelocitySettings {
        product_id: 584,
        location: "{{ options['Location'] or 'TPA1' }}".to_owned(),
        os: "{{ options['Operating System'] or 'Ubuntu 22.04' }}".to_owned(),
        hostname: HivelocitySettings::default_hostname(),
        period: HivelocitySettings::default_period(),
        on_suspend: DeviceOnSuspend::Shutdown,
        on_terminate: DeviceOnTerminate::Cancel,
    }
}

pub(super) fn licences() -> OneHSettings {
    OneHSettings {
        licenses: vec!["Hive".to_owned()],
        ip: OneHSettings::default_ip(),
        label: OneHSettings::default_label(),
        portal_domain: String::new(),
        on_suspend: LicenceOnSuspend::SuspendUser,
    }
}

pub(super) fn product(id: &str) -> ProductSettings {
    ProductSettings {
        source: None,
        id: id.to_owned(),
        hivelocity: Some(device()),
        one_h: Some(licences()),
    }
}

fn with_location(template: &str) -> Result<Catalogue, CatalogueError> {
    let hivelocity = Some(HivelocitySettings {
        location: template.to_owned(),
        ..device()
    });
    Catalogue::compile(vec![ProductSettings {
        hivelocity,
        ..product("42")
    }])
}

fn with_ip(template: &str) -> Result<Catalogue, CatalogueError> {
    let one_h = Some(OneHSettings {
        ip: template.to_owned(),
        ..licences()
    });
    Catalogue::compile(vec![ProductSettings {
        one_h,
        ..product("42")
    }])
}

fn refusal(result: Result<Catalogue, CatalogueError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_entry_of_a_source_wins_over_the_one_for_any() {
    let own = ProductSettings {
        source: Some("whmcs".to_owned()),
        ..product("42")
    };
    for entries in [vec![own.clone(), product("42")], vec![product("42"), own]] {
        let catalogue = Catalogue::compile(entries).unwrap();
        assert_eq!(
            catalogue.find("whmcs", "42").unwrap().source.as_deref(),
            Some("whmcs")
        );
        assert_eq!(catalogue.find("other", "42").unwrap().source, None);
        assert!(catalogue.find("whmcs", "43").is_none());
        assert_eq!(catalogue.products().len(), 2);
    }
}

#[test]
fn a_product_of_one_source_is_not_sold_by_another() {
    let own = ProductSettings {
        source: Some("whmcs".to_owned()),
        ..product("42")
    };
    let catalogue = Catalogue::compile(vec![own]).unwrap();
    assert!(catalogue.find("other", "42").is_none());
    assert!(Catalogue::default().find("whmcs", "42").is_none());
}

#[test]
fn the_same_product_twice_for_one_source_is_refused() {
    let message = refusal(Catalogue::compile(vec![product("42"), product("42")]));
    assert!(
        message.starts_with("products[42]: is listed twice for any source"),
        "{message}"
    );
    let own = ProductSettings {
        source: Some("whmcs".to_owned()),
        ..product("42")
    };
    let message = refusal(Catalogue::compile(vec![own.clone(), product("42"), own]));
    assert!(message.contains("twice for whmcs"), "{message}");
}

#[test]
fn an_unknown_variable_is_named_with_product_and_key() {
    let message = refusal(with_location("{{ service.hostnam }}"));
    assert!(
        message.starts_with(
            "products[42].hivelocity.location: unknown variable service.hostnam; known are source,"
        ),
        "{message}"
    );
}

#[test]
fn an_unknown_variable_is_found_wherever_it_hides() {
    for (template, name) in [
        ("{{ nothing or 'TPA1' }}", "nothing"),
        ("{{ service.hostnam or 'TPA1' }}", "service.hostnam"),
        ("{{ service['hostnam'] or 'TPA1' }}", "service.hostnam"),
        (
            "{% set s = service %}{{ s.hostnam or 'TPA1' }}",
            "service.hostnam",
        ),
        (
            "{% if options['x'] == 'y' %}{{ customer.mail }}{% endif %}TPA1",
            "customer.mail",
        ),
        ("{{ service.hostname.length }}", "service.hostname.length"),
        ("{{ options.a.b }}", "options.a.b"),
        ("{{ service }}", "service without a part"),
        ("{{ range(3)|length }}", "range"),
    ] {
        let message = refusal(with_location(template));
        assert!(message.contains(name), "{template}: {message}");
    }
}

#[test]
fn a_syntax_error_names_product_and_key() {
    for template in [
        "{{ options['Location' }}",
        "{{",
        "{% if %}x",
        "{% if source %}x",
    ] {
        let message = refusal(with_location(template));
        assert!(
            message.starts_with("products[42].hivelocity.location: is not a template"),
            "{template}: {message}"
        );
    }
}

#[test]
fn what_the_engine_does_not_have_is_refused_also_in_a_branch_not_taken() {
    for (template, what) in [
        (
            "{% if options['x'] == 'y' %}{{ source|upcase }}{% endif %}TPA1",
            "unknown filter upcase",
        ),
        (
            "{{ 'a' if source is divisible else 'b' }}",
            "unknown test divisible",
        ),
        ("{% include 'other' %}", "unknown statement include"),
        ("{% macro m() %}{% endmacro %}", "unknown statement macro"),
        (
            "{% if options['x'] == 'y' %}{{ source.upper() }}{% endif %}TPA1",
            "upper() cannot be",
        ),
    ] {
        let message = refusal(with_location(template));
        assert!(message.contains(what), "{template}: {message}");
    }
}

#[test]
fn every_filter_and_test_that_is_named_as_known_works() {
    let template = "{{ source|capitalize|d('x')|default('x')|lower|upper|title|trim }}\
        {{ source|replace('a','b') }}{{ source|split('.')|first }}{{ source|split('.')|last }}\
        {{ source|length }}{{ source is defined and source is not undefined and source is not none \
        and source is eq(source) and source is not ne(source) and source is startingwith('s') \
        and source is endingwith('e') }}{% for x in source|split('.') %}{{ x }}{% endfor %}\
        {% set y %}z{% endset %}{{ y }}{% if a is defined %}{% elif y %}{% else %}{% endif %}"
        .replace("{% if a is defined %}", "{% if source %}");
    with_location(&template).unwrap();
}

#[test]
fn a_table_from_names_to_codes_is_accepted() {
    with_location("{{ {'Dallas': 'DAL1', 'Tampa': 'TPA1'}[options['Location']] }}").unwrap();
}

#[test]
fn a_template_that_fails_with_every_value_is_refused() {
    let message = refusal(with_location("{{ service.hostname + 1 }}"));
    assert!(
        message.contains("products[42].hivelocity.location: cannot be worked out"),
        "{message}"
    );
}

#[test]
fn the_device_is_unknown_while_it_is_ordered() {
    for template in [
        "{{ device.id }}",
        "{{ 'x' if device.ip else 'y' }}",
        "{{ device['ip'] }}",
    ] {
        let message = refusal(with_location(template));
        assert!(
            message.contains("is not known yet"),
            "{template}: {message}"
        );
    }
}

#[test]
fn a_template_that_changes_the_planned_ip_is_refused() {
    for template in [
        "{{ device.ip|replace('.', '-') }}",
        "{{ device.ip|upper }}",
        "{{ device.ip[:4] }}",
        "{{ device.id|length }}",
    ] {
        let message = refusal(with_ip(template));
        assert!(
            message.contains("must be used as they are"),
            "{template}: {message}"
        );
    }
    with_ip("{{ device.ip or options['License IP'] or fields['IP'] }}").unwrap();
    with_ip("srv-{{ device.id }}").unwrap();
}

#[test]
fn a_loop_that_runs_away_is_stopped() {
    let inner =
        "{% for a in s %}{% for b in s %}{% for c in s %}{% endfor %}{% endfor %}{% endfor %}";
    let template = format!(
        "{{% set s = '{}'|split(',') %}}{inner}TPA1",
        "x,".repeat(60)
    );
    let message = refusal(with_location(&template));
    assert!(message.contains("too long"), "{message}");
}

#[test]
fn all_problems_are_reported_together() {
    let hivelocity = HivelocitySettings {
        location: "{{ a }}".to_owned(),
        os: "{{ b }}".to_owned(),
        period: "weekly".to_owned(),
        product_id: 0,
        ..device()
    };
    let one_h = OneHSettings {
        licenses: vec!["Hive".to_owned(); 2],
        ..licences()
    };
    let bad = ProductSettings {
        hivelocity: Some(hivelocity),
        one_h: Some(one_h),
        ..product("7")
    };
    let error = Catalogue::compile(vec![bad, product("8"), product("8")]).unwrap_err();
    assert_eq!(error.problems.len(), 6, "{error}");
    assert_eq!(error.to_string().lines().count(), 6, "{error}");
}

#[test]
fn a_product_without_an_id_is_refused() {
    assert!(refusal(Catalogue::compile(vec![product("")])).contains("is empty"));
}

#[test]
fn settings_are_read_as_they_are_written_with_numbers_for_ids() {
    let json = serde_json::json!({
        "id": 42,
        "hivelocity": {"product_id": 584, "location": "TPA1", "os": "Ubuntu 22.04"},
        "one_h": {"licenses": ["Hive"], "on_suspend": "remove_license"},
    });
    let settings: ProductSettings = serde_json::from_value(json).unwrap();
    assert_eq!(settings.id, "42");
    assert_eq!(settings.hivelocity.as_ref().unwrap().period, "monthly");
    assert_eq!(
        settings.hivelocity.as_ref().unwrap().on_terminate,
        DeviceOnTerminate::Cancel
    );
    assert_eq!(
        settings.one_h.as_ref().unwrap().on_suspend,
        LicenceOnSuspend::RemoveLicense
    );
    Catalogue::compile(vec![settings]).unwrap();
    for wrong in [
        serde_json::json!({"id": "1", "hivelcity": {}}),
        serde_json::json!({"id": true}),
        serde_json::json!({"hivelocity": null}),
    ] {
        serde_json::from_value::<ProductSettings>(wrong).unwrap_err();
    }
}
