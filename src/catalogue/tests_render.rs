//! What a product comes to for an order, and when it refuses one.

use proptest::prelude::*;

use super::tests::{device, licences, product};
use super::*;
use crate::domain::{Customer, OrderedService};

fn service() -> OrderedService {
    OrderedService {
        id: "501".to_owned(),
        product_id: "42".to_owned(),
        hostname: "srv1.example.com".to_owned(),
        billing_cycle: "Monthly".to_owned(),
        quantity: 1,
        ..OrderedService::default()
    }
}

fn with_option(name: &str, value: &str) -> OrderedService {
    let options = [(name.to_owned(), value.to_owned())].into();
    OrderedService {
        options,
        ..service()
    }
}

fn catalogue(device: HivelocitySettings, licences: OneHSettings) -> Catalogue {
    let (hivelocity, one_h) = (Some(device), Some(licences));
    Catalogue::compile(vec![ProductSettings {
        hivelocity,
        one_h,
        ..product("42")
    }])
    .unwrap()
}

fn order(device: HivelocitySettings, service: &OrderedService) -> Result<DeviceSpec, RenderError> {
    let catalogue = catalogue(device, licences());
    let customer = Customer {
        id: "77".to_owned(),
        ..Customer::default()
    };
    let vars = Variables {
        source: "whmcs",
        order_id: "1001",
        customer: &customer,
        service,
        device_ip: "",
        device_id: "",
    };
    let product = catalogue.find("whmcs", "42").unwrap();
    product.hivelocity.as_ref().unwrap().render(&vars)
}

fn license(
    settings: OneHSettings,
    service: &OrderedService,
    device_ip: &str,
) -> Result<LicenceSpec, RenderError> {
    let catalogue = catalogue(device(), settings);
    let customer = Customer {
        company: "Example Ltd".to_owned(),
        ..Customer::default()
    };
    let vars = Variables {
        source: "whmcs",
        order_id: "",
        customer: &customer,
        service,
        device_ip,
        device_id: "",
    };
    catalogue
        .find("whmcs", "42")
        .unwrap()
        .one_h
        .as_ref()
        .unwrap()
        .render(&vars)
}

fn hostname(name: &str) -> Result<DeviceSpec, RenderError> {
    order(
        device(),
        &OrderedService {
            hostname: name.to_owned(),
            ..service()
        },
    )
}

#[test]
fn options_are_used_and_missing_ones_take_the_default() {
    let spec = order(device(), &with_option("Location", " DAL1 ")).unwrap();
    assert_eq!(spec.location, "DAL1", "and what comes out is trimmed");
    assert_eq!(spec.os, "Ubuntu 22.04");
    assert_eq!(spec.hostname, "srv1.example.com");
    assert_eq!((spec.product_id, spec.period.as_str()), (584, "monthly"));
    assert_eq!(
        order(device(), &with_option("Location", ""))
            .unwrap()
            .location,
        "TPA1"
    );
}

#[test]
fn every_variable_has_its_value() {
    let template = "{{ source }} {{ order_id }} {{ customer.id }} {{ service.id }} \
        {{ service.product_id }} {{ service.hostname }} {{ service.billing_cycle }} \
        {{ service.quantity }} {{ options['A'] }} {{ options.A }} {{ fields['B'] }}|";
    let settings = HivelocitySettings {
        location: template.to_owned(),
        ..device()
    };
    let spec = order(settings, &with_option("A", "a")).unwrap();
    assert_eq!(
        spec.location,
        "whmcs 1001 77 501 42 srv1.example.com Monthly 1 a a |"
    );
}

#[test]
fn an_empty_hostname_says_where_to_set_one() {
    assert_eq!(
        hostname("  ").unwrap_err().to_string(),
        "products[42].hivelocity.hostname: the service has no hostname; set one in the billing \
         platform or a template default"
    );
}

#[test]
fn an_empty_location_or_system_is_never_ordered() {
    for key in ["location", "os"] {
        let empty = "{{ options['Nothing'] }}".to_owned();
        let mut settings = device();
        if key == "os" {
            settings.os = empty;
        } else {
            settings.location = empty;
        }
        let error = order(settings, &service()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("products[42].hivelocity.{key}: no ")),
            "{error}"
        );
    }
}

#[test]
fn a_name_that_is_no_host_name_is_refused() {
    for bad in [
        "two words",
        "a\nb",
        "a\tb",
        "<b>",
        "a/b",
        "http://a",
        "\u{7}",
        &"a.".repeat(128),
        "srv1",
        "12345",
        "192.0.2.5",
        "-bad.example.com",
        "srv1..example.com",
        "a-b_c.example.com",
        &"a".repeat(253),
    ] {
        let error = hostname(bad).unwrap_err().to_string();
        assert!(
            error.contains("products[42].hivelocity.hostname"),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error:?}");
    }
    for (given, ordered) in [
        ("srv1.example.com", "srv1.example.com"),
        ("SRV1.example.com.", "srv1.example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
    ] {
        assert_eq!(hostname(given).unwrap().hostname, ordered);
    }
    assert_eq!(
        hostname("srv_1.example.com").unwrap_err().to_string(),
        "the host name \"srv_1.example.com\" has an underscore, which no host name has; send it again \
         with a full name such as srv1.example.com (products[42].hivelocity.hostname), or cancel this run"
    );
}

#[test]
fn options_are_found_whatever_their_case_and_spacing() {
    for name in ["location", " LOCATION ", "Location"] {
        let spec = order(device(), &with_option(name, "NYC1")).unwrap();
        assert_eq!(spec.location, "NYC1", "{name}");
    }
    let mut both = with_option("location", "NYC1");
    both.options
        .insert("Location".to_owned(), "DAL1".to_owned());
    assert_eq!(order(device(), &both).unwrap().location, "DAL1");
}

#[test]
fn an_option_is_in_the_options_only_where_the_order_has_it() {
    let location = |template: &str, service: &OrderedService| {
        let settings = HivelocitySettings {
            location: template.to_owned(),
            ..device()
        };
        order(settings, service).unwrap().location
    };
    let template = "{{ 'DAL1' if 'Near Dallas' in options else 'TPA1' }}";
    assert_eq!(
        location(template, &with_option("near  dallas", "1")),
        "DAL1"
    );
    assert_eq!(location(template, &with_option("Near Dallas", "1")), "DAL1");
    assert_eq!(location(template, &with_option("Dallas", "1")), "TPA1");
    let each = "{% for name in options %}{{ options[name] }}{% endfor %}";
    assert_eq!(location(each, &with_option("x", "NYC1")), "NYC1");
}

#[test]
fn a_code_that_the_templates_table_does_not_have_is_never_guessed() {
    let location = "{{ {'Dallas': 'DAL1'}[options['Location']] }}".to_owned();
    let settings = HivelocitySettings {
        location,
        ..device()
    };
    assert_eq!(
        order(settings.clone(), &with_option("Location", "Dallas"))
            .unwrap()
            .location,
        "DAL1"
    );
    let error = order(settings, &with_option("Location", "Mars"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("products[42].hivelocity.location: a lookup found nothing"),
        "{error}"
    );
}

#[test]
fn a_cycle_is_translated_and_an_unknown_one_named() {
    let settings = HivelocitySettings {
        period: "billing_cycle".to_owned(),
        ..device()
    };
    let cycle = |cycle: &str| OrderedService {
        billing_cycle: cycle.to_owned(),
        ..service()
    };
    assert_eq!(
        order(settings.clone(), &cycle("Biennially"))
            .unwrap()
            .period,
        "biennial"
    );
    let error = order(settings.clone(), &cycle("One Time"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("products[42].hivelocity.period: the billing cycle \"One Time\""));
    assert!(
        order(settings, &cycle(""))
            .unwrap_err()
            .to_string()
            .contains("no billing cycle")
    );
}

#[test]
fn the_planned_ip_stays_as_it_is_and_the_option_stands_in_without_a_device() {
    assert_eq!(
        license(licences(), &service(), "{device.ip}").unwrap().ip,
        "{device.ip}"
    );
    let option = with_option("License IP", "203.0.113.7");
    assert_eq!(license(licences(), &option, "").unwrap().ip, "203.0.113.7");
    assert_eq!(
        license(licences(), &option, "2001:db8::1").unwrap().ip,
        "2001:db8::1"
    );
}

#[test]
fn a_licence_without_an_ip_or_with_a_wrong_one_is_refused() {
    let error = license(licences(), &service(), "").unwrap_err().to_string();
    assert!(
        error.starts_with("products[42].one_h.ip: no IP for the licence"),
        "{error}"
    );
    for wrong in [
        "example.com",
        "1.2.3",
        "203.0.113.7, 203.0.113.8",
        "203.0.113.7 x",
    ] {
        let error = license(licences(), &with_option("License IP", wrong), "").unwrap_err();
        assert!(error.to_string().contains("is no IP address"), "{error}");
    }
}

#[test]
fn a_product_without_licences_and_portal_needs_no_ip() {
    let settings = OneHSettings {
        licenses: Vec::new(),
        ..licences()
    };
    assert_eq!(license(settings, &service(), "").unwrap().ip, "");
}

#[test]
fn a_portals_domain_must_be_one() {
    let settings = OneHSettings {
        portal_domain: "{{ options['Portal'] }}".to_owned(),
        label: "{{ customer.company }}".to_owned(),
        ..licences()
    };
    let spec = license(settings.clone(), &service(), "203.0.113.7").unwrap();
    assert_eq!(
        (spec.portal_domain.as_str(), spec.label.as_str()),
        ("", "Example Ltd")
    );
    let option = with_option("Portal", "portal.example.com");
    let spec = license(settings.clone(), &option, "203.0.113.7").unwrap();
    assert_eq!(spec.portal_domain, "portal.example.com");
    license(
        settings,
        &with_option("Portal", "not a domain"),
        "203.0.113.7",
    )
    .unwrap_err();
}

#[test]
fn a_value_is_never_read_as_a_template() {
    let spec = order(device(), &with_option("Location", "{{ customer.id }}")).unwrap();
    assert_eq!(spec.location, "{{ customer.id }}");
    let spec = order(device(), &with_option("Location", "<b>&\"'")).unwrap();
    assert_eq!(spec.location, "<b>&\"'", "and nothing is escaped");
}

#[test]
fn an_option_of_a_megabyte_is_refused_only_where_it_is_used() {
    let long = "x".repeat(1024 * 1024);
    let error = order(device(), &with_option("Location", &long))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("options['Location'] is longer than 1024 bytes"),
        "{error}"
    );
    order(device(), &with_option("Cloud-Init", &long)).unwrap();
    let error = hostname(&long).unwrap_err().to_string();
    assert!(error.contains("service.hostname is longer"), "{error}");
}

#[test]
fn what_multiplies_a_long_option_is_stopped() {
    let long = with_option("A", &"x".repeat(1024));
    for template in [
        "{{ options['A'] }}{{ options['A'] }}",
        "{{ options['A']|replace('x', options['A'])|replace('x', options['A']) }}",
        "{% for a in options['A']|split('') %}{% for b in options['A']|split('') %}{{ b }}{% endfor %}{% endfor %}",
    ] {
        let settings = HivelocitySettings {
            location: template.to_owned(),
            ..device()
        };
        let error = order(settings, &long).unwrap_err().to_string();
        assert!(
            error.contains("longer than 1024 bytes"),
            "{template}: {error}"
        );
    }
}

#[test]
fn a_customer_cannot_forge_the_mark_of_a_planned_device() {
    for mark in ["{device.ip}", "a.{device.id}.example.com"] {
        let error = hostname(mark).unwrap_err().to_string();
        assert!(
            error.contains("service.hostname holds the text {device.ip}"),
            "{error}"
        );
        let option = with_option("License IP", mark);
        let named = OrderedService {
            hostname: "a.example".to_owned(),
            ..option
        };
        let error = license(licences(), &named, "").unwrap_err().to_string();
        assert!(
            error.contains("options['License IP'] holds the text"),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever an event holds, an order is either exact or refused in one line.
    #[test]
    fn no_value_breaks_a_rendering(hostname in ".*", option in ".*", cycle in ".*", ip in ".*") {
        let service = OrderedService {
            hostname, billing_cycle: cycle, ..with_option("Location", &option)
        };
        let settings = HivelocitySettings { period: "billing_cycle".to_owned(), ..device() };
        match order(settings, &service) {
            Ok(spec) => {
                prop_assert!(spec.hostname.is_ascii() && spec.hostname.contains('.'));
                prop_assert!(!spec.location.chars().any(char::is_control));
            }
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
        if let Ok(spec) = license(licences(), &service, &ip) {
            prop_assert!(spec.ip == ip.trim() || spec.ip.parse::<std::net::IpAddr>().is_ok());
        }
    }
}
