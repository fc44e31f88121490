import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;

/** Java's clients as they are: HttpClient offers HTTP/2 (Upgrade: h2c), HttpURLConnection calls a body a form. */
public class Client {
    public static void main(String[] given) throws Exception {
        URI place = URI.create(given[0] + "/predict?top=1");
        Path picture = Path.of(given[1]);
        HttpClient plain = HttpClient.newHttpClient();
        HttpClient old = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (HttpClient client : new HttpClient[] {plain, plain, old}) {
            var request = HttpRequest.newBuilder(place).POST(HttpRequest.BodyPublishers.ofFile(picture)).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
        var connection = (HttpURLConnection) place.toURL().openConnection();
        connection.setDoOutput(true);
        connection.getOutputStream().write(Files.readAllBytes(picture));
        System.out.println(new String(connection.getInputStream().readAllBytes()));
    }
}
