<?php
// Sign-in with dirmfa in PHP 8, without a library (needs php-curl). Run after the password was checked.
//
//   DIRMFA_URL=https://mfa.example.org DIRMFA_TOKEN_FILE=/etc/myapp/dirmfa-token php sign_in.php USERNAME

declare(strict_types=1);

const TIMEOUT_SECONDS = 16; // dirmfa answers within 15

/** The answer of a call that dirmfa answered with exactly 200; otherwise null. */
function call(string $path, array $body): ?array
{
    $token = trim(file_get_contents(getenv('DIRMFA_TOKEN_FILE')));
    $curl = curl_init(getenv('DIRMFA_URL') . $path);
    curl_setopt_array($curl, [
        CURLOPT_POSTFIELDS => json_encode($body, JSON_THROW_ON_ERROR),
        CURLOPT_HTTPHEADER => ["Authorization: Bearer $token", 'Content-Type: application/json'],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_FOLLOWLOCATION => false,
        CURLOPT_TIMEOUT => TIMEOUT_SECONDS,
    ]);
    $text = curl_exec($curl);
    if ($text === false || curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        fwrite(STDERR, 'dirmfa: ' . (curl_error($curl) ?: 'no 200') . "\n");
        return null;
    }
    $answer = json_decode($text, true);
    return is_array($answer) ? $answer : null;
}

/** True only when dirmfa asks nothing of the user, or accepts a code. */
function maySignIn(string $username, callable $askForCode): bool
{
    $answer = call('/v1/sign-in', ['username' => $username]);
    switch ($answer['decision'] ?? null) {
        case 'allow':
            return true;
        case 'enroll':
            // A real login page enrolls here, and offers "later" while mayDefer is true.
            return ($answer['enrollment']['mayDefer'] ?? null) === true;
        case 'challenge':
            $code = $askForCode();
            $field = ctype_digit(str_replace(' ', '', $code)) ? 'totp' : 'backupCode';
            $answer = call('/v1/verify', ['username' => $username, $field => $code]);
            return ($answer['verified'] ?? null) === true;
        default:
            return false;
    }
}

$signedIn = maySignIn($argv[1], fn () => trim((string) fgets(STDIN)));
echo $signedIn ? "signed in\n" : "refused\n";
exit($signedIn ? 0 : 1);
