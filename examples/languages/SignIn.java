// Sign-in with dirmfa in Java 17, standard library alone. Run after the password was checked.
//
//   DIRMFA_URL=https://mfa.example.org DIRMFA_TOKEN_FILE=/etc/myapp/dirmfa-token java SignIn.java USERNAME
//
// Java has no JSON reader built in, so the three facts that are needed are read with patterns. Text of the directory in an answer
// cannot look like them, since its quotes are escaped. With Jackson or Gson at hand, use that.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Supplier;

public class SignIn {
    // Redirects are not followed by default: none is an answer of dirmfa, and it would carry the token elsewhere.
    static final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

    /** The body of an answer that came with exactly 200; otherwise nothing. */
    static Optional<String> call(String path, String json) throws InterruptedException {
        try {
            String token = Files.readString(Path.of(System.getenv("DIRMFA_TOKEN_FILE"))).strip();
            HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("DIRMFA_URL") + path))
                .timeout(Duration.ofSeconds(16)) // dirmfa answers within 15
                .header("Authorization", "Bearer " + token)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(json))
                .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            return response.statusCode() == 200 ? Optional.of(response.body()) : Optional.empty();
        } catch (IOException | IllegalArgumentException error) {
            System.err.println("dirmfa: " + error);
            return Optional.empty();
        }
    }

    /** True only when dirmfa asks nothing of the user, or accepts a code. */
    static boolean maySignIn(String username, Supplier<String> askForCode) throws InterruptedException {
        String answer = call("/v1/sign-in", "{\"username\":" + quoted(username) + "}").orElse("");
        if (answer.startsWith("{\"decision\":\"allow\"")) return true;
        // A real login page enrolls here, and offers "later" while mayDefer is true.
        if (answer.startsWith("{\"decision\":\"enroll\"")) return answer.matches(".*\"enrollment\":\\{[^{}]*\"mayDefer\":true[,}].*");
        if (!answer.startsWith("{\"decision\":\"challenge\"")) return false;
        String code = askForCode.get();
        String field = code.matches("[0-9 ]+") ? "totp" : "backupCode";
        String body = "{\"username\":" + quoted(username) + ",\"" + field + "\":" + quoted(code) + "}";
        return call("/v1/verify", body).orElse("").startsWith("{\"verified\":true");
    }

    static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit < ' ' || unit == '"' || unit == '\\') json.append(String.format("\\u%04x", (int) unit));
            else json.append(unit);
        }
        return json.append('"').toString();
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        boolean signedIn = maySignIn(arguments[0], () -> {
            try {
                return Optional.ofNullable(input.readLine()).orElse("").strip();
            } catch (IOException error) {
                return "";
            }
        });
        System.out.println(signedIn ? "signed in" : "refused");
        System.exit(signedIn ? 0 : 1);
    }
}
