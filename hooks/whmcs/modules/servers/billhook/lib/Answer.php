<?php
/** What came of one call, and the sentence for staff that it becomes. */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Answer
{
    /** The one answer WHMCS takes for "done". */
    const SUCCESS = 'success';

    /** What has to be so for a success: Billhook has the event; the order is surely under way; it happened. */
    const RECEIVED = 'received';
    const UNDER_WAY = 'under way';
    const DONE = 'done';

    const CHECK_PRODUCT = 'Check that the catalogue product id in the module settings of this product is in Billhook\'s'
        . ' configuration; then try again.';

    /** @var Settings */
    private $settings;
    /** @var array */
    private $reply;
    /** @var array Billhook's answer; empty where there is none */
    private $answer;

    /**
     * @param array $reply `error` (null or a sentence about what prevented an answer), `id` (of the message), `waited` (for the
     *                     outcome, in seconds), `status` (HTTP, 0 without an answer), `answer` (decoded object or null),
     *                     `redirect`, `retry_after`, `arrived` (whether the event may have come in)
     */
    public function __construct(Settings $settings, array $reply)
    {
        $this->settings = $settings;
        $this->reply = $reply + [
            'error' => null, 'id' => '', 'waited' => 0, 'status' => 0, 'answer' => null, 'redirect' => '', 'retry_after' => '',
            'arrived' => false,
        ];
        $this->answer = is_array($this->reply['answer']) ? $this->reply['answer'] : [];
    }

    /** The message's id; empty where none was sent. */
    public function id()
    {
        return $this->reply['id'];
    }

    /** Billhook's word for what became of the event; empty where the answer is none of its. */
    public function word()
    {
        $taken = $this->reply['error'] === null && $this->reply['status'] >= 200 && $this->reply['status'] <= 299;
        return $taken && isset($this->answer['status']) && is_string($this->answer['status']) ? $this->answer['status'] : '';
    }

    /** Whether something may exist now because of an order: all but what Billhook surely did not take. */
    public function mayHaveOrdered()
    {
        if ($this->reply['status'] >= 300 && $this->reply['status'] <= 499) {
            return false;
        }
        return $this->reply['arrived'] && !in_array($this->word(), ['ignored', 'unknown_service'], true);
    }

    /** Whether Billhook has heard of the service that an event other than its order is about. */
    public function isOfKnownService()
    {
        return in_array($this->word(), ['accepted', 'duplicate', 'succeeded', 'paused', 'cancelled'], true);
    }

    /**
     * `success`, or what stands in the way of it.
     *
     * @param string $what the action in words, such as `suspend service 501`
     * @param string $need RECEIVED, UNDER_WAY or DONE
     */
    public function outcome($what, $need)
    {
        if ($this->reply['error'] !== null) {
            return $this->reply['error'];
        }
        $word = $this->word();
        if (!empty($this->answer['dry_run']) && $need !== self::RECEIVED && in_array($word, ['accepted', 'succeeded'], true)) {
            return 'Billhook is in a dry run (policy.dry_run), so it did not ' . $what . ': it planned that and sent nothing to a'
                . ' supplier. Switch the dry run off in its configuration and restart it; then run this again.';
        }
        if ($need === self::UNDER_WAY && !empty($this->answer['unmatched']) && $word !== 'ignored') {
            return $this->unmatched($what);
        }
        switch ($word) {
            case '':
                return $this->refusal();
            case 'accepted':
                return $this->accepted($what, $need);
            case 'duplicate':
                return $this->duplicate($what, $need);
            case 'succeeded':
            case 'paused':
            case 'cancelled':
                return $this->ended($what, $word, $need);
            case 'unknown_service':
                return $this->unknown($what);
            case 'ignored':
                return 'Billhook did nothing to ' . $what . ': ' . $this->reason('reason') . '. ' . self::CHECK_PRODUCT;
        }
        return 'Billhook answered HTTP ' . $this->reply['status'] . ' with the status "' . $this->settings->clean($word)
            . '", which this module does not know. Look at ' . $this->delivery() . ' in Billhook; the module may need an update.';
    }

    /** `success` where Billhook took a test event and can report back or is not set up to; else a sentence. */
    public function tested()
    {
        if (!in_array($this->word(), ['accepted', 'duplicate', 'ignored', 'succeeded'], true)) {
            return $this->outcome('take a test event', self::DONE);
        }
        // An older Billhook says nothing of its way back.
        $report = isset($this->answer['report']) && is_array($this->answer['report']) ? $this->answer['report'] : [];
        if (empty($report['configured']) || (isset($report['ok']) && $report['ok'] === true)) {
            return self::SUCCESS;
        }
        return 'Billhook cannot report back to WHMCS: ' . $this->reason('error', $report)
            . '. The other direction works: events reach Billhook.';
    }

    private function unmatched($what)
    {
        return 'Billhook did not ' . $what . ': its product is not in the catalogue. ' . self::CHECK_PRODUCT;
    }

    /** It is on disk, and no outcome came within the time that was waited. */
    private function accepted($what, $need)
    {
        $blocker = isset($this->answer['blocked_by']) && is_array($this->answer['blocked_by']) ? $this->answer['blocked_by'] : [];
        $stuck = $this->text('status', $blocker) === 'paused';
        if ($need === self::RECEIVED || ($need === self::UNDER_WAY && !$stuck)) {
            return self::SUCCESS;
        }
        if ($stuck) {
            $id = $this->text('run', $blocker);
            return 'Billhook cannot ' . $what . ' before a person has seen to run ' . $id . ', which is paused: '
                . $this->reason('reason', $blocker) . '. Look at it with "billhook runs show ' . $id . '" and retry or cancel it'
                . ' there; then run this again.';
        }
        $behind = $blocker === [] ? '' : ' behind run ' . $this->text('run', $blocker) . ' ('
            . $this->reason('reason', $blocker) . ')';
        return 'Billhook took the order to ' . $what . ', but ' . $this->unfinished() . ': ' . $this->delivery() . $behind
            . '. Billhook goes on with it; look at it in Billhook, or try again in a few minutes.';
    }

    private function unfinished()
    {
        return $this->reply['waited'] > 0
            ? 'it is still in progress after ' . $this->reply['waited'] . ' seconds'
            : 'its outcome was not waited for, since this request or cron run has spent its time for waiting';
    }

    private function duplicate($what, $need)
    {
        foreach ($this->runs() as $run) {
            if ($run['status'] !== '') {
                return $this->ended($what, 'duplicate', $need);
            }
        }
        return $need !== self::DONE
            ? self::SUCCESS
            : 'Billhook had this event before, so its outcome is not in this answer. Look at ' . $this->delivery()
                . ' in Billhook.';
    }

    /** Every run ended or stands still. */
    private function ended($what, $word, $need)
    {
        $runs = $this->runs();
        foreach (['paused', 'cancelled', 'superseded'] as $status) {
            foreach ($runs as $run) {
                if ($run['status'] === $status && !($need === self::UNDER_WAY && self::isOrderedAgain($run))) {
                    return $this->stopped($what, $run);
                }
            }
        }
        foreach ($runs as $run) {
            if (!in_array($run['status'], ['', 'succeeded', 'superseded'], true)) {
                return $this->stopped($what, $run);
            }
        }
        if ($word === 'paused' || $word === 'cancelled') {
            return $this->stopped($what, ['id' => '', 'status' => $word, 'error' => '', 'next' => '']);
        }
        return self::SUCCESS;
    }

    /** A second click on Create takes the place of the first, and builds the same. */
    private static function isOrderedAgain(array $run)
    {
        return $run['status'] === 'superseded' && strpos($run['error'], 'by the newer order') === 0;
    }

    private function stopped($what, array $run)
    {
        $id = $run['id'] === '' ? 'ID' : $run['id'];
        $name = $run['id'] === '' ? 'the run' : 'run ' . $run['id'];
        $error = $run['error'] === '' ? 'no reason was given' : Text::unstopped($run['error']);
        if ($run['status'] === 'superseded') {
            return 'Billhook left it undone to ' . $what . ', since ' . $name . ' was superseded: ' . $error . '. See how the'
                . ' service stands with "billhook runs show ' . $id . '"; if it is not as it should be, run this again.';
        }
        $do = Text::unstopped($run['next']);
        if ($do === '') {
            $do = 'look at it with "billhook runs show ' . $id . '"'
                . ($run['status'] === 'paused' ? ', remove the cause, let it go on with "billhook runs retry ' . $id . '"' : '');
        }
        return 'Billhook could not ' . $what . ': ' . $error . ' (' . $name . ' is ' . $run['status'] . '). What to do: ' . $do
            . '. After that run this again, unless the sentence says otherwise.';
    }

    private function unknown($what)
    {
        return 'Billhook did not ' . $what . ': ' . $this->reason('reason') . '. If it exists, it was created elsewhere: check'
            . ' that the server record of this service is the one it was created with. If it does not, run Create, and this again after it.';
    }

    /** The sentence for an answer that is not Billhook's "taken". */
    private function refusal()
    {
        $status = $this->reply['status'];
        $place = $this->settings->place();
        if ($status >= 300 && $status <= 399) {
            $hint = stripos($this->reply['redirect'], 'https:') === 0 && !$this->settings->isSecure()
                ? 'It points to https: tick Secure in the server record and set the port of https. '
                : 'Set Hostname, Port and Secure in the server record to the final address. ';
            return $place . ' answered HTTP ' . $status . ', a redirect, which is not followed. ' . $hint . 'Nothing was taken.';
        }
        $detail = $this->text('detail');
        $detail = $detail !== '' ? $detail : $this->text('title');
        // Only Billhook's own answers say something about the settings; a proxy has pages of its own.
        $ours = $detail !== '' || isset($this->answer['type']) || isset($this->answer['status']);
        if (!$ours || ($status >= 200 && $status <= 299)) {
            return $place . ' answered HTTP ' . $status . ', but not as Billhook does; perhaps a proxy or another program answers'
                . ' there. Check Hostname, Port and Secure in the server record and that Billhook runs; then try again, which is'
                . ' safe.';
        }
        return 'Billhook at ' . $place . ' answered HTTP ' . $status . ($detail === '' ? '' : ': ' . $this->field()
            . Text::unstopped($detail)) . '. ' . $this->hint($status);
    }

    /** The member of the event that is wrong, in words. */
    private function field()
    {
        $pointer = $this->text('pointer');
        $name = preg_replace('~/(\d+)(?=/|$)~', '[$1]', ltrim($pointer, '/'));
        return $pointer === '' ? '' : 'the field ' . str_replace('/', '.', $name) . ' is wrong: ';
    }

    /** What to do about a refusal. */
    private function hint($status)
    {
        $source = Text::plain($this->settings->source());
        switch ($status) {
            case 401:
                return 'The signature was not accepted: check that the Access Hash of the server record is a current'
                    . ' secret of the source "' . $source . '" and that the clocks of both machines are right.';
            case 403:
                return 'Check that the address of this WHMCS server is allowed for the source "' . $source . '".';
            case 404:
                return 'Billhook has no source named "' . $source . '": check the Username of the server record, or'
                    . ' add the source to Billhook\'s configuration.';
            case 400:
            case 422:
                return 'Billhook could not use the event: correct the named value in WHMCS, then try again.';
            case 409:
                // Billhook says itself what to do when a WHMCS really moved.
                return $this->text('cause') === 'other_installation'
                    ? 'Nothing was done.'
                    : 'Billhook had another event of the same id; try again.';
            case 413:
                return 'The event is too large: shorten the custom fields and options of this service, or raise'
                    . ' body_limit in Billhook.';
            case 429:
            case 503:
                $after = $this->reply['retry_after'];
                $after = ctype_digit($after) ? 'in ' . $after . ' seconds' : 'in a minute';
                return 'It cannot take events right now; try again ' . $after . '.';
        }
        return $status >= 500
            ? 'Look at Billhook\'s log; running this again is safe.'
            : 'Check the server record and Billhook\'s configuration for the source "' . $source . '".';
    }

    /** The runs of an answer, whether it lists their ids or says more about them. */
    private function runs()
    {
        $runs = [];
        foreach (isset($this->answer['runs']) && is_array($this->answer['runs']) ? $this->answer['runs'] : [] as $run) {
            $run = is_array($run) ? $run : ['id' => $run];
            $runs[] = [
                'id' => $this->text('id', $run), 'status' => $this->text('status', $run), 'error' => $this->text('error', $run),
                'next' => $this->text('next', $run),
            ];
        }
        return $runs;
    }

    /** What to look for in Billhook: the runs, else the delivery. */
    private function delivery()
    {
        $ids = array_slice(array_filter(array_column($this->runs(), 'id'), 'strlen'), 0, 5);
        if ($ids !== []) {
            return (count($ids) === 1 ? 'run ' : 'runs ') . implode(', ', $ids);
        }
        $delivery = $this->text('delivery_id');
        return $delivery === '' ? 'its delivery' : 'delivery ' . $delivery;
    }

    /** A member of the answer that tells why. */
    private function reason($key, ?array $from = null)
    {
        $reason = Text::unstopped($this->text($key, $from));
        return $reason === '' ? 'it gave no reason' : $reason;
    }

    /** A text member of the answer, or of an error object in it, fit to be shown. */
    private function text($key, ?array $from = null)
    {
        $from = $from === null ? $this->answer : $from;
        $value = isset($from[$key]) ? $from[$key] : '';
        if (is_array($value)) {
            $value = array_values(array_intersect_key($value, array_flip(['detail', 'message', 'title'])) + ['']);
            $value = $value[0];
        }
        return is_scalar($value) ? $this->settings->clean((string) $value) : '';
    }
}
