<?php
/**
 * Where a service was created: a note among its service properties, which WHMCS shows to staff as a custom field. A server
 * record that was pointed elsewhere since must not make a termination that did nothing look like one that worked.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Origin
{
    /** The property's name. */
    const PROPERTY = 'Billhook';

    /** @var object|null WHMCS's access to the properties; null where it has none */
    private $properties = null;
    /** @var string the note; empty without one */
    private $note = '';

    public function __construct(array $params)
    {
        try {
            $model = isset($params['model']) && is_object($params['model']) ? $params['model'] : null;
            $this->properties = $model === null ? null : @$model->serviceProperties;
            if (is_object($this->properties) && is_callable([$this->properties, 'get'])) {
                $note = $this->properties->get(self::PROPERTY);
                $this->note = is_scalar($note) ? trim(Text::decoded($note)) : '';
            }
        } catch (\Throwable $e) {
            $this->note = '';
        }
    }

    public function isNoted()
    {
        return $this->note !== '';
    }

    public function note(Settings $settings, array $params)
    {
        $note = 'source=' . rawurlencode($settings->source()) . ' installation=' . Installation::id() . ' server='
            . Text::member($params, 'serverid');
        if ($note !== $this->note) {
            $this->save($note);
        }
    }

    public function forget()
    {
        if ($this->isNoted()) {
            $this->save('');
        }
    }

    /** Without the note everything else works. */
    private function save($note)
    {
        try {
            if (is_object($this->properties) && is_callable([$this->properties, 'save'])) {
                $this->properties->save([self::PROPERTY => $note]);
                $this->note = $note;
            }
        } catch (\Throwable $e) {
            return;
        }
    }

    /** Why nothing may be sent about a service that was created elsewhere; null where it was not. */
    public function refusal($what, Settings $settings)
    {
        if (!$this->isNoted()) {
            return null;
        }
        if (!preg_match('/^source=(\S+) installation=(\S*) server=(\S*)$/', $this->note, $found)) {
            return 'Nothing was sent to ' . $what . ': its field "' . self::PROPERTY . '" does not say where it was created. '
                . self::remedy();
        }
        $source = rawurldecode($found[1]);
        if ($source !== $settings->source()) {
            return 'Nothing was sent to ' . $what . ': it was created at the source "' . Text::plain($source) . '" of Billhook'
                . ($found[3] === '' ? '' : ' (server record ' . Text::plain($found[3]) . ')')
                . ', and its server record now says "' . Text::plain($settings->source())
                . '". Assign the server record it was created with. ' . self::remedy();
        }
        $here = Installation::id();
        if ($found[2] !== '' && $here !== '' && $found[2] !== $here) {
            return 'Nothing was sent to ' . $what . ': it was created by another WHMCS, of which this one is a copy. '
                . self::remedy();
        }
        return null;
    }

    /** The sentence for a service that was created and that Billhook does not know. */
    public function lost($what, Settings $settings)
    {
        return 'Billhook at ' . $settings->place() . ' did not ' . $what . ': it does not know it, although WHMCS noted its'
            . ' creation there (' . Text::plain($this->note) . '). It may be another or an empty Billhook: assign the right server'
            . ' record or restore its store. ' . self::remedy();
    }

    private static function remedy()
    {
        return 'If nothing of it exists any more, empty the field "' . self::PROPERTY . '" of this service and run this again.';
    }
}
